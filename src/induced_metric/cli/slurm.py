"""Runs the workers of a sweep as the elements of a SLURM array."""

import contextlib
import io
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from induced_metric.cli.launch import Count, Sweep
from induced_metric.cli.supervisor import Restarts, Supervisor, noted
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


@dataclass(frozen=True, kw_only=True)
class Slurm(Restarts):
    """Workers as the elements of a SLURM array, submitted through submitit.

    Attributes:
        workers: the number of elements of the array.
        parallel: how many of them may run at the same time.
        partition: the partition to submit to; None, here and below, leaves the choice to the cluster.
        account: the account to charge.
        minutes: time limit of an element; one that reaches it goes back into the queue.
        gpus: GPUs per worker.
        cpus: CPUs per worker.
        memory: memory per worker, in GB.
        stop_seconds: time before the limit in which a worker finishes its epochs and writes its checkpoints.
        requeues: how often a worker that reached its limit may go back into the queue.
        setup: shell commands to run before a worker starts.
        sbatch: further parameters, by the names of sbatch's options.
        cluster: submitit's cluster: ``slurm``, or ``local`` for processes on this machine.
    """

    workers: Count
    parallel: Count | None
    partition: str | None
    account: str | None
    minutes: Count
    gpus: Annotated[int, Field(ge=0)] | None
    cpus: Count
    memory: Annotated[float, Field(gt=0)] | None
    stop_seconds: Count
    requeues: Annotated[int, Field(ge=0)]
    setup: list[str]
    sbatch: dict[str, Any]
    cluster: Literal["slurm", "local"]

    def launch(self, sweep: Sweep) -> int:
        """Submits the workers and prints how to watch and cancel them, without waiting for them.

        Raises:
            UserError: if SLURM is not available here or refuses the job.
        """
        sweep.check(self.workers)
        if self.stop_seconds >= 60 * self.minutes:
            raise UserError(
                f"launcher.stop_seconds must be less than the time limit, launcher.minutes={self.minutes}, "
                f"got {self.stop_seconds}"
            )
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError(
                "launcher=slurm needs submitit, which pip install 'induced-metric[cluster]' adds"
            ) from error
        try:
            executor = submitit.AutoExecutor(
                sweep.logs.absolute() / "submitit", cluster=self.cluster, slurm_max_num_timeout=self.requeues
            )
            executor.update_parameters(**self._parameters())
            element = _Element(sweep, self)
            # submitit prints sbatch's complaints as well as raising them.
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                jobs = [executor.submit(element) for _ in range(self.workers)]
        except RuntimeError as error:  # srun is missing, or sbatch refused
            messages = str(error).replace("sbatch: error: ", "").splitlines()
            raise UserError(f"launcher: {'; '.join(messages)}") from error
        self._announce([job.job_id for job in jobs], sweep)
        return 0

    def _parameters(self) -> dict[str, Any]:
        return {
            "name": "induced-metric",
            "timeout_min": self.minutes,
            "gpus_per_node": self.gpus,
            "cpus_per_task": self.cpus,
            "mem_gb": self.memory,
            "stderr_to_stdout": True,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_array_parallelism": self.parallel or self.workers,
            "slurm_signal_delay_s": self.stop_seconds,
            "slurm_setup": self.setup,
            # Since SLURM 22.05, srun no longer inherits it from sbatch.
            "slurm_srun_args": [f"--cpus-per-task={self.cpus}"],
            "slurm_additional_parameters": {"requeue": True, **self.sbatch},
        }

    def _announce(self, jobs: Sequence[str], sweep: Sweep) -> None:
        ids = sorted({job.partition("_")[0] for job in jobs})
        logs = sorted({f"{self.cluster}-{job.partition('_')[0]}{'-*' * ('_' in job)}.log" for job in jobs})
        watch, cancel = ("squeue --jobs", "scancel") if self.cluster == "slurm" else ("ps", "kill")
        most = f", at most {self.parallel} at a time" if self.parallel else ""
        print(f"submitted {self.workers} workers as job {', '.join(ids)}{most}")
        print(f"  watch:  {watch} {','.join(ids)}")
        print(f"  logs:   tail -F {' '.join(str(sweep.logs / log) for log in logs)}")
        print(f"          {sweep.logs / 'submitit'} has SLURM's output for a worker without a log")
        print(f"  cancel: {cancel} {' '.join(ids)}; the same command continues", flush=True)


class _Element:
    """One element of the array, as it runs on its node. Neither it nor its command has the storage URL."""

    def __init__(self, sweep: Sweep, restarts: Restarts) -> None:
        self._sweep = Sweep(command=list(sweep.command), logs=sweep.logs.absolute())
        self._restarts = restarts

    def __call__(self) -> None:
        """Runs one worker. submitit's warning signal or SIGTERM stops it in an orderly way.

        It is queued again after the warning, which comes before the time limit, and after a SIGTERM that
        leaves the job running, which is how a preemption with a grace period begins. A cancelled job ends.
        """
        import submitit

        job = submitit.JobEnvironment()
        warning = getattr(signal, f"SIG{job.USR_SIG}")
        # submitit's handler checkpoints, queues this job again and ends the process.
        requeue: Any = signal.getsignal(warning)
        worker = self._sweep.worker(f"{job.cluster}-{job.job_id}".replace("_", "-"))
        with noted(warning, signal.SIGTERM) as came:
            # No lock is needed, since SLURM runs an element once, and one left by a dead node would block it.
            with Supervisor([worker], self._restarts, exclusive=False) as supervisor:
                code = supervisor.run(came)
            # Also if the worker was killed, or its disk was full, while it stopped; 2 is for what it refused.
            if code != 2 and came and (warning in came or _runs(job.job_id)):
                requeue(warning, None)
        if code:
            raise SystemExit(code)

    def checkpoint(self) -> "DelayedSubmission":
        """What submitit submits when the job is queued again: the same element."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _runs(job: str) -> bool:
    """Whether SLURM lists a job as running, and not as cancelled."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return False
    listing = subprocess.run(
        [squeue, "--noheader", "--jobs", job, "--format=%T"], capture_output=True, text=True, check=False
    )
    return listing.stdout.strip() == "RUNNING"
