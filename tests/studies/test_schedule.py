"""The order of asks and tells: from the trials alone, whoever comes first on a machine."""

from hypothesis import given
from hypothesis import strategies as st

from induced_metric.studies.schedule import Schedule

EPOCHS = 50


def events(lengths, in_flight, stride, choose):
    """Asks and looks of trials that end after ``lengths``; ``choose`` says which of them goes on next."""
    log, done = [], {}

    def ask():
        if len(done) == len(lengths):
            return None
        number = len(done)
        done[number] = 0
        log.append(("ask", number))
        return number

    def serve(looks):
        log.extend(("look", *look) for look in looks)
        return [lengths[look.number] > look.epochs for look in looks]

    def has_done(number, epochs):
        return done[number] >= min(epochs, lengths[number])

    schedule = Schedule(
        in_flight=in_flight, stride=stride, epochs=EPOCHS, ask=ask, done=has_done, serve=serve
    )
    while True:
        schedule.advance()
        under_way = [number for number, epochs in done.items() if epochs < lengths[number]]
        assert len(under_way) <= in_flight
        if not under_way:
            return log
        number, epochs = choose(under_way)
        done[number] = min(done[number] + epochs, lengths[number])


STUDIES = {
    "lengths": st.lists(st.integers(1, EPOCHS), min_size=1, max_size=30),
    "in_flight": st.integers(1, 9),
    "stride": st.integers(1, EPOCHS),
}


@given(data=st.data(), **STUDIES)
def test_the_order_does_not_depend_on_who_comes_first(data, lengths, in_flight, stride):
    def first(under_way):
        return under_way[0], EPOCHS

    def any_of(under_way):
        return data.draw(st.sampled_from(under_way)), data.draw(st.integers(1, EPOCHS))

    assert events(lengths, in_flight, stride, first) == events(lengths, in_flight, stride, any_of)


@given(**STUDIES)
def test_every_trial_is_asked_for_once_in_order_and_looked_at_until_it_ends(lengths, in_flight, stride):
    log = events(lengths, in_flight, stride, lambda under_way: (under_way[-1], 1))
    assert [number for kind, number, *_ in log if kind == "ask"] == list(range(len(lengths)))
    for number, length in enumerate(lengths):
        looks = [event[2] for event in log if event[:2] == ("look", number)]
        assert looks == [min(k * stride, EPOCHS) for k in range(1, len(looks) + 1)]
        assert looks[-1] >= length
        assert all(epochs < length for epochs in looks[:-1])


def test_pairs_are_served_in_turn_as_two_mapped_lanes_are():
    log = events([4, 4, 4, 2, 4, 4], 4, 2, lambda under_way: (under_way[0], 1))
    assert log == [
        ("ask", 0), ("ask", 1), ("ask", 2), ("ask", 3),
        ("look", 0, 2), ("look", 2, 2),
        ("look", 1, 2), ("look", 3, 2), ("ask", 4),
        ("look", 0, 4), ("look", 2, 4), ("ask", 5),
        ("look", 1, 4), ("look", 4, 2),
        ("look", 5, 2), ("look", 4, 4), ("look", 5, 4),
    ]  # fmt: skip
