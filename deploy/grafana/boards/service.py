"""The service board: the golden signals of the service, and where to look when one is bad."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.boards.parts import (
    INSTANCE,
    MODEL_ANYWHERE,
    SOLVER,
    Query,
    Row,
    above,
    below,
    board,
    graph,
    number,
    quantile,
)

_REQUESTS = f'mulan_http_requests_total{{{INSTANCE},endpoint=~"/v1/.+|/v2/.+/infer"}}'
_NOT_OK = _REQUESTS.replace("}", ',outcome!="ok"}')
_JOBS = f"mulan_jobs_total{{{SOLVER}}}"


def service() -> Dashboard:
    """Return the board to open first."""
    return board(
        "mulan-service",
        "Mulan: service",
        "Is the service well? The top row says so; below it is where it hurts.",
        [_health(), _traffic(), _latency(), _queue(), _redis()],
    )


def _health() -> Row:
    return Row(
        "Is it well?",
        [
            number(
                "Alerts that fire",
                "Each has a section of its name in deploy/RUNBOOK.md: begin there. None, and "
                "users still complain: go on with the graphs below.",
                "short",
                Query(
                    'count by (alertname) (ALERTS{alertstate="firing",alertname=~"Mulan.+"})',
                    "{{alertname}}",
                ),
                above(warn=1),
                span=8,
                none="none",
            ),
            number(
                "Requests gone wrong, last hour",
                "Share of requests under /v1 that ended in a 5xx of ours. At 0.5 % the month's "
                "budget is just used up; over 7.2 % somebody is woken. Which code: Answers by "
                "outcome.",
                "percentunit",
                Query("mulan:http_bad:ratio_rate1h", "gone wrong"),
                above(0.005, 0.072),
            ),
            number(
                "Slower than 30 s, last hour",
                "Share of requests for samples, likelihoods and verdicts. 5 % may be. More: see "
                "whether they wait (Time in the queue) or are worked on (Time in the engine).",
                "percentunit",
                Query("mulan:http_slow:ratio_rate1h", "slow"),
                above(0.05, 0.72),
            ),
            number(
                "Workers by model",
                "Workers that announce each model. 0: its requests get 503; start a worker that "
                "has the checkpoint. Fewer than you run: see MulanWorkerDown in the runbook.",
                "short",
                Query(
                    f"max by (model) (mulan_model_workers{{{MODEL_ANYWHERE}}})",
                    "{{model}}",
                ),
                below(bad=1),
            ),
            number(
                "Redis",
                "1: every process reaches Redis, in all of its shards. 0: at least one does not; "
                "if it is all of them, nothing else on this board matters until Redis is back.",
                "short",
                Query(f"min(mulan_store_up{{{INSTANCE}}})", "reached"),
                below(bad=1),
                span=2,
            ),
            number(
                "Dead letters",
                "Jobs that killed every worker that ran them alone. Not 0: mulan jobs dead list "
                "says which and why; it can wait until morning unless workers still die.",
                "short",
                Query("max(mulan_dead_letters)", "dead letters"),
                above(warn=1),
                span=2,
            ),
        ],
    )


def _traffic() -> Row:
    return Row(
        "Traffic and errors",
        [
            graph(
                "Requests by endpoint",
                "Answers a second. A drop to nothing with no alert: clients cannot reach us, look "
                "at the load balancer. A jump: one caller, see Turned away.",
                "reqps",
                Query(f"sum by (endpoint) (rate({_REQUESTS}[$__rate_interval]))", "{{endpoint}}"),
                stacked=True,
            ),
            graph(
                "Answers by outcome",
                "Share of answers by problem code; ok is left out. store-unavailable: Redis. "
                "not-ready: no worker. computation-failed: engine or device. deadline-exceeded: "
                "too slow. The others are the clients' own, or refusals.",
                "percentunit",
                Query(
                    f"sum by (outcome) (rate({_NOT_OK}[$__rate_interval])) "
                    f"/ on () group_left () sum(rate({_REQUESTS}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            graph(
                "Turned away",
                "Requests a second refused before any work. queue-full: there is too little "
                "capacity. rate-limited: one key has had its share, all is well. "
                "request-too-expensive: a client asks for more than is allowed.",
                "reqps",
                Query(
                    f"sum by (code) (rate(mulan_rejections_total{{{INSTANCE}}}[$__rate_interval]))",
                    "{{code}}",
                ),
            ),
            graph(
                "Jobs by solver",
                "Jobs a second that ended, well or not. One solver that stops while others go on: "
                "its jobs fail or take very long, see Jobs by outcome.",
                "ops",
                Query(
                    f"sum by (kind, solver) (rate({_JOBS}[$__rate_interval]))",
                    "{{kind}} {{solver}}",
                ),
                stacked=True,
            ),
            graph(
                "Jobs by outcome",
                "Jobs a second by model and end. failed: read the workers' logs. timed-out: too "
                "slow. cancelled: clients left. released: a worker stopped and gave its jobs "
                "back.",
                "ops",
                Query(
                    f"sum by (model, outcome) (rate({_JOBS}[$__rate_interval]))",
                    "{{model}} {{outcome}}",
                ),
            ),
            graph(
                "Budget of errors, by window",
                "The share gone wrong over a short and a long window. Both high: it happens now. "
                "Only the long one: it is over. Only the short one: it has just begun, or is a "
                "blip.",
                "percentunit",
                Query("mulan:http_bad:ratio_rate5m", "5 minutes"),
                Query("mulan:http_bad:ratio_rate1h", "an hour"),
                Query("mulan:http_bad:ratio_rate6h", "six hours"),
                limits=above(0.03, 0.072),
            ),
        ],
    )


def _latency() -> Row:
    requests = f'{INSTANCE},endpoint=~"/v1/.+|/v2/.+/infer"'
    return Row(
        "Latency",
        [
            graph(
                "From entry to last byte, by endpoint",
                "Half of the requests are faster than p50; one in twenty is slower than p95. GET "
                "endpoints above a second: the event loop or Redis is slow, not the device.",
                "s",
                quantile(0.5, "mulan_http_request_seconds", requests, "endpoint"),
                quantile(0.95, "mulan_http_request_seconds", requests, "endpoint"),
                limits=above(bad=30),
            ),
            graph(
                "Time in the queue",
                "95 % of jobs waited less, from admission to claim. Rises before anything fails: "
                "more comes in than is done. A job taken over counts from its first admission. "
                "Flat, and requests still slow: Time in the engine.",
                "s",
                quantile(0.95, "mulan_job_queue_seconds", SOLVER, "kind, solver"),
                limits=above(10, 60),
            ),
            graph(
                "Time in the engine",
                "95 % of jobs ran less, from claim to end. One solver up: somebody asks for many "
                "steps. All up: the device is slow or shared by more rows, see the engine board.",
                "s",
                quantile(0.95, "mulan_job_run_seconds", SOLVER, "kind, solver"),
                limits=above(30, 120),
            ),
        ],
    )


def _queue() -> Row:
    return Row(
        "Saturation",
        [
            graph(
                "Jobs that wait and run",
                "As the queue has them. queued grows and running does not: workers are full or "
                "gone. Both 0 while clients wait: Redis or the APIs are at fault.",
                "short",
                Query("max by (state) (mulan_queue_jobs)", "{{state}}"),
            ),
            graph(
                "Until all that waits is done",
                "Predicted cost of what waits over what the engines do. Over a minute and rising: "
                "add workers. Over two minutes requests run out of time while they wait.",
                "s",
                Query("mulan:queue_wait:seconds", "wait"),
                limits=above(60, 120),
            ),
            graph(
                "Requests inside",
                "Requests that an API holds, most of them waiting for their job. One API far "
                "above the others: the load balancer favours it. It falls to 0 when an API has "
                "drained.",
                "short",
                Query(
                    f"sum by (instance) (mulan_http_requests_in_flight{{{INSTANCE}}})",
                    "{{instance}}",
                ),
            ),
        ],
    )


def _redis() -> Row:
    filters = INSTANCE
    return Row(
        "Redis",
        [
            graph(
                "Round trips",
                "99 % of the commands of each operation are faster. Over 10 ms all day: Redis is "
                "far away or busy. All operations up at once: Redis or its disk; one: a large "
                "payload.",
                "s",
                quantile(0.99, "mulan_store_round_trip_seconds", filters, "operation"),
                limits=above(0.1, 1),
            ),
            graph(
                "Commands that failed",
                "A second, by operation. A few at a restart of Redis are nothing. All the time: "
                "Redis is away, loading its file, or out of memory.",
                "ops",
                Query(
                    f"sum by (operation) (rate(mulan_store_errors_total{{{filters}}}"
                    "[$__rate_interval]))",
                    "{{operation}}",
                ),
                limits=above(bad=1),
            ),
            graph(
                "Jobs taken over and given up",
                "In the last quarter of an hour. Taken over: a worker died or was cut off; after "
                "an update this is all there is. Given up: a job kills workers, see the dead "
                "letters. Dropped: an API died while its clients waited. Unreadable: something "
                "else writes to this Redis, see the log.",
                "short",
                Query(f"sum(increase(mulan_redeliveries_total{{{filters}}}[15m]))", "taken over"),
                Query(f"sum(increase(mulan_jobs_given_up_total{{{filters}}}[15m]))", "given up"),
                Query(f"sum(increase(mulan_jobs_orphaned_total{{{filters}}}[15m]))", "dropped"),
                Query(
                    f"sum(increase(mulan_store_unreadable_total{{{filters}}}[15m]))", "unreadable"
                ),
                limits=above(warn=1),
            ),
            number(
                "Redis replaced, last day",
                "How often a replica took over from a server of the store, or one was started "
                "again. Not 0, and nobody did it on purpose: the log of an API has each, with the "
                "time in which accepted jobs may be lost.",
                "short",
                Query("max(mulan_store_gaps)", "replaced"),
                above(warn=1),
            ),
        ],
    )
