"""The page in a browser: what it draws, what the slider does, and whether it fits a phone."""

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
# Written into the page by what each test wants to know, once all charts are drawn.
PROBE = """<script>
addEventListener("error", event => document.body.dataset.failed = event.message);
addEventListener("unhandledrejection", event => document.body.dataset.failed = String(event.reason));
(async () => {
  while (document.documentElement.dataset.ready !== "all") await new Promise(done => setTimeout(done, 50));
  const found = await (async () => { %s })();
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = JSON.stringify(found);
  document.body.append(said);
})();
</script>"""


def asked(page, script, *flags, width=1200):
    """What a script of the page returns, in a window of this width."""
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text(encoding="utf-8") + PROBE % script, encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'chromium'}",
        f"--window-size={width},900",
        "--virtual-time-budget=120000",
        "--dump-dom",
        *flags,
        f"file://{probed}#everything",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "data-failed" not in done.stdout, re.findall('data-failed="[^"]*', done.stdout)
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(found.group(1).replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))


def test_every_chart_is_drawn_and_the_slider_chooses_the_ranking(page):
    found = asked(
        page,
        """
        const ranking = document.getElementById("paper-regression-chart-ranking");
        const slider = ranking.querySelector("[type=range]"), number = ranking.querySelector("[type=number]");
        const state = () => ({
          said: ranking.querySelector(".status").textContent,
          first: ranking.querySelector("tbody th").textContent,
          value: ranking.querySelector("tbody tr").cells[2].textContent,
          top: ranking.querySelector(".plot").layout.yaxis.categoryarray.at(-1),
          line: document.querySelector("#paper-regression-chart-curves .plot").layout.shapes[0].x0,
          number: number.value,
        });
        const settled = () => new Promise(done => setTimeout(done, 500));
        const set = async (control, value, kind) => {
          control.value = value;
          control.dispatchEvent(new Event(kind));
          await settled();
          return state();
        };
        const frame = JSON.parse(ranking.querySelector("script").textContent).frames.random;
        return {
          blocks: document.querySelectorAll(".chart, .ranking").length,
          drawn: document.querySelectorAll(".plot .main-svg:first-child").length,
          buttons: [...document.querySelectorAll(".modebar-btn")].map(button => button.dataset.title),
          one: await set(slider, 0, "input"),
          typed: await set(number, 7, "change"),
          best: [0, 6].map(place => frame.best[frame.orders[place][0]][place].toPrecision(4)),
        };
        """,
    )
    assert found["blocks"] == found["drawn"] > 8
    assert found["buttons"]
    assert not [title for title in found["buttons"] if re.search("cloud|share|edit|upload", title, re.I)]
    for state, k, best in zip((found["one"], found["typed"]), (1, 7), found["best"], strict=True):
        assert (state["line"], state["number"], state["value"]) == (k, str(k), best)
        assert state["said"].startswith(f"After {k} trial")
        assert state["top"] == state["first"]


@pytest.mark.parametrize(
    "width", [360, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (390, 1200))]
)
def test_the_page_never_scrolls_sideways(page, width):
    # A headless window is at least 500 wide, a body is not.
    found = asked(
        page,
        f"""
        document.body.style.width = "{width}px";
        await new Promise(done => setTimeout(done, 500));
        const limit = document.body.getBoundingClientRect().right;
        return [...document.querySelectorAll("main *, header *, nav *")]
          .filter(each => !each.closest(".scroll, svg, pre, .skip"))
          .filter(each => each.getBoundingClientRect().right > limit + 1)
          .map(each => each.outerHTML.slice(0, 120));
        """,
        width=max(width, 500),
    )
    assert found == []


def test_choices_show_what_they_say(page):
    found = asked(
        page,
        """
        const chart = document.getElementById("paper-regression-chart-response");
        const names = () => chart.querySelector(".plot").data.map(trace => trace.name);
        const before = names(), titles = [chart.querySelector(".plot").layout.xaxis.title.text];
        for (const [name, value] of [["optimizer", "*"], ["parameter", "momentum"]]) {
          const select = chart.querySelector(`[data-choice=${name}]`);
          select.value = value;
          select.dispatchEvent(new Event("change"));
          await new Promise(done => setTimeout(done, 500));
        }
        titles.push(chart.querySelector(".plot").layout.xaxis.title.text);
        return {before, after: names(), titles};
        """,
    )
    assert found == {
        "before": ["ADAM"],
        "after": ["SGD", "SGD_RMS"],
        "titles": ["learning_rate", "momentum"],
    }


@pytest.mark.exhaustive
def test_in_the_dark_black_lines_can_be_seen(page):
    script = """
    const plot = document.getElementById("paper-regression-chart-curves").querySelector(".plot");
    return {
      paper: getComputedStyle(document.body).backgroundColor,
      ink: plot.layout.font.color,
      sgd: plot.data.find(trace => trace.name === "SGD").line.color,
    };
    """
    assert asked(page, script) == {"paper": "rgb(255, 255, 255)", "ink": "#1b1f24", "sgd": "#000000"}
    dark = asked(page, script, "--blink-settings=preferredColorScheme=0")
    assert dark["ink"] == "#e6e9ec"
    assert min(map(int, re.findall(r"\d+", dark["sgd"]))) > 180


@pytest.mark.exhaustive
def test_in_print_all_tables_are_open(page):
    found = asked(
        page,
        """
        document.querySelectorAll("details").forEach(details => details.open = false);
        dispatchEvent(new Event("beforeprint"));
        const open = document.querySelectorAll("details[open]").length;
        dispatchEvent(new Event("afterprint"));
        return {all: document.querySelectorAll("details").length, open,
          after: document.querySelectorAll("details[open]").length};
        """,
    )
    assert found["all"] == found["open"] > 0
    assert found["after"] == 0
