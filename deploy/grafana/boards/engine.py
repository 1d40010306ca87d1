"""The engine board: where a tick's time goes, how full its calls are and what waits for them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.boards.parts import (
    INSTANCE,
    MODEL,
    SOLVER,
    Query,
    Row,
    above,
    below,
    board,
    graph,
    number,
    quantile,
    spread,
)


def engine() -> Dashboard:
    """Return the board to open when the service board shows that work is slow."""
    return board(
        "mulan-engine",
        "Mulan: engine and device",
        "Why is work slow? Too much of it, calls that are not full, or a device that is slow.",
        [_now(), _ticks(), _batches(), _memory()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Row-evaluations",
                "What the device does: network evaluations of one row, a second. Compare it with "
                "docs/performance.md and with last week. 0 while jobs run: the engine stands.",
                "ops",
                Query(
                    f"sum(rate(mulan_row_evaluations_total{{{SOLVER}}}[$__rate_interval]))",
                    "a second",
                ),
                below(bad=1),
            ),
            number(
                "Busy",
                "Share of the time that engines spend in ticks, the mean over workers. Near 1: "
                "the devices are used up, only more workers help. Near 0 with a queue: workers do "
                "not claim.",
                "percentunit",
                Query(
                    f"avg(sum by (instance) (rate(mulan_engine_tick_seconds_sum{{{INSTANCE}}}"
                    "[$__rate_interval])))",
                    "in ticks",
                ),
                above(0.8, 0.98),
            ),
            number(
                "Rows a call",
                "Rows in a network call, the mean. Few rows while many wait is a fault; few rows "
                "with nobody waiting is only little traffic.",
                "short",
                Query(
                    f"sum(rate(mulan_engine_batch_rows_sum{{{MODEL}}}[$__rate_interval])) "
                    f"/ sum(rate(mulan_engine_batch_rows_count{{{MODEL}}}[$__rate_interval]))",
                    "rows",
                ),
                below(warn=4),
            ),
            number(
                "Rows that wait",
                "Rows inside the engines that have no place in a call yet. It is jobs of many "
                "images that wait here; those that no worker has claimed are in the queue.",
                "short",
                Query(f'sum(mulan_engine_rows{{{SOLVER},state="waiting"}})', "rows"),
                above(warn=1024),
            ),
            number(
                "Model load",
                "How long each model took to load and warm up, the slowest worker. It is what a "
                "new worker needs before it helps: count on it when you scale.",
                "s",
                Query(f"max by (model) (mulan_model_load_seconds{{{MODEL}}})", "{{model}}"),
                above(60, 300),
            ),
            number(
                "Failed changes of models",
                "Checkpoints that workers were told to load in the last hour and could not; what "
                "was served stays in service. The workers' logs say why.",
                "short",
                Query(
                    f'sum(increase(mulan_model_changes_total{{{INSTANCE},outcome="failed"}}[1h]))',
                    "changes",
                ),
                above(warn=1),
            ),
            number(
                "Versions",
                "Of the software, among all processes. More than one: an update is under way, or "
                "stuck; until it is over images and likelihoods may differ in their last bits.",
                "short",
                Query(f"count(count by (version) (mulan_build_info{{{INSTANCE}}}))", "versions"),
                above(warn=2),
            ),
        ],
    )


def _ticks() -> Row:
    parts = f"mulan_engine_tick_part_seconds_total{{{INSTANCE}}}"
    return Row(
        "Where a tick's time goes",
        [
            graph(
                "Busy, by part of a tick",
                "Share of the time that each part of ticks takes, the mean over workers. The "
                "network should have most of it. Another part that grows: the host, not the "
                "device, is what limits; look for other processes on its cores.",
                "percentunit",
                Query(f"avg by (part) (rate({parts}[$__rate_interval]))", "{{part}}"),
                stacked=True,
                top=1,
            ),
            spread(
                "Ticks by duration",
                "One tick is one network call for each model and kind of question. A second band "
                "far above the first: large likelihood calls. Everything moving up: the device "
                "slows down.",
                "s",
                "mulan_engine_tick_seconds",
                INSTANCE,
            ),
            graph(
                "Ticks by worker",
                "99 % of a worker's ticks are shorter. One worker above the others: its device is "
                "slow or shared. A minute: the engine is about to be taken for hung.",
                "s",
                quantile(0.99, "mulan_engine_tick_seconds", INSTANCE, "instance"),
                limits=above(10, 60),
            ),
            graph(
                "Row-evaluations by model and solver",
                "What the devices are spent on. One line with nearly all of it while others wait: "
                "look who asked (mulan jobs list --status running --json).",
                "ops",
                Query(
                    f"sum by (model, solver) (rate(mulan_row_evaluations_total{{{SOLVER}}}"
                    "[$__rate_interval]))",
                    "{{model}} {{solver}}",
                ),
                stacked=True,
            ),
            graph(
                "Row-evaluations by worker and checkpoint",
                "Workers on equal devices should do equally much under load. One far below: slow "
                "device, or it does not serve what is asked for. Two checkpoints of one name: an "
                "update is under way.",
                "ops",
                Query(
                    f"sum by (instance, checkpoint) (rate(mulan_row_evaluations_total{{{SOLVER}}}"
                    "[$__rate_interval]))",
                    "{{instance}} {{checkpoint}}",
                ),
            ),
            graph(
                "Processor",
                "Cores that each process uses. An API near 1: its event loop is full, add an API. "
                "A worker on a GPU near 1: the host holds the device up.",
                "short",
                Query(
                    f'rate(process_cpu_seconds_total{{{INSTANCE},job=~"mulan-.+"}}[$__rate_interval])',
                    "{{instance}}",
                ),
            ),
        ],
    )


def _batches() -> Row:
    return Row(
        "Batches and what waits for them",
        [
            spread(
                "Rows of a call",
                "How full network calls are. All at the top: the device has all it can take. All "
                "at the bottom while rows wait: calls are split by model or kind of question.",
                "short",
                "mulan_engine_batch_rows",
                MODEL,
            ),
            graph(
                "Why calls were not fuller",
                "Calls a second by the reason that packing stopped there. full: there was more; "
                "the device limits. drained: everything that could ride along did.",
                "ops",
                Query(
                    f"sum by (mode, reason) (rate(mulan_engine_calls_total{{{MODEL}}}"
                    "[$__rate_interval]))",
                    "{{mode}} {{reason}}",
                ),
                stacked=True,
            ),
            graph(
                "Rows by lane",
                "Rows of each model and solver inside the engines. active ones ride in calls, "
                "waiting ones come next. active without evaluations: the engine stands.",
                "short",
                Query(
                    f"sum by (model, solver, state) (mulan_engine_rows{{{SOLVER}}})",
                    "{{model}} {{solver}} {{state}}",
                ),
                stacked=True,
            ),
            graph(
                "Work in the queue",
                "Predicted row-evaluations that nobody has claimed. It should come back to 0 "
                "within minutes; while it rises, more comes in than is done.",
                "short",
                Query("mulan:queue_cost:row_evaluations", "waits"),
            ),
            graph(
                "How fast the queue drains",
                "Row-evaluations a second, each times its probes, as the queue is predicted: of "
                "jobs that ended, which is what Retry-After rests on (0 while none wait), and of "
                "what engines do. The first well below the second while jobs wait: predictions "
                "are too low, or results are thrown away.",
                "ops",
                Query("max(mulan_queue_drain_row_evaluations_per_second)", "drains"),
                Query("mulan:queue_cost_done:rate2m", "engines do"),
            ),
            graph(
                "Jobs that wait",
                "As in the queue. It jumps when a worker dies, because its jobs come back, and "
                "falls again when they are taken over.",
                "short",
                Query('max(mulan_queue_jobs{state="queued"})', "queued"),
            ),
        ],
    )


def _memory() -> Row:
    return Row(
        "Memory",
        [
            graph(
                "Device memory",
                "Bytes that torch has on each GPU; nothing on a CPU. reserved at the card's size "
                "and calls that fail: too many or too large models on one card.",
                "bytes",
                Query(
                    f"sum by (instance, device, state) (mulan_device_memory_bytes{{{INSTANCE}}})",
                    "{{instance}} {{device}} {{state}}",
                ),
                span=12,
            ),
            graph(
                "Memory",
                "Resident bytes of each process. Steady growth over days is a leak: restart the "
                "process and say so. A sawtooth with restarts: it is killed for memory; give it "
                "more.",
                "bytes",
                Query(
                    f'process_resident_memory_bytes{{{INSTANCE},job=~"mulan-.+"}}', "{{instance}}"
                ),
                span=12,
            ),
        ],
    )
