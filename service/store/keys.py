"""Every name in Redis. A queue is called `{checkpoint}:{priority}`, and with API keys
`{checkpoint}:{priority}:{owner}`. In a Redis Cluster each shard has names of its own (`shards`).

Builds of several versions share a Redis, so that no name may change.
"""

PREFIX = "mulan:"  # of all names

JOB = "mulan:job:"  # + id: hash, the state of a job
TASK = "mulan:task:"  # + id: the encoded job
RESULT = "mulan:result:"  # + id: the encoded outcome
PROGRESS_LOG = "mulan:story:"  # + id: stream of the latest advances of a watched job
IDEMPOTENCY = "mulan:idempotency:"  # + scope: hash, a job and the digest of its request
INDEX = "mulan:index"  # sorted set of all jobs by place
OWNED = "mulan:owned:"  # + owner: sorted set of an owner's jobs by place
QUEUE = "mulan:queue:"  # + queue: stream of the jobs that wait or run
RETURNED = "mulan:returned:"  # + queue: sorted set of jobs that wait again, by place
SUSPECTS = "mulan:suspects:"  # + queue: sorted set of jobs that are to run alone, by place
QUEUES = "mulan:queues"  # set of the queues that have a stream
WAITING = "mulan:waiting"  # sorted set of the queued jobs by deadline, which bounds admission
WAITING_COST = "mulan:waiting-cost"  # the predicted cost of the queued jobs
OWNER_JOBS = "mulan:owner-jobs"  # hash: the number of each owner's queued jobs
OWNER_COST = "mulan:owner-cost"  # hash: the predicted cost of each owner's queued jobs
TURN = "mulan:turn"  # the present tag of the fair queue, in row-evaluations
TURNS = "mulan:turns"  # hash: the tag at which each owner's claimed work would end
KEPT = "mulan:kept"  # hash: of each job that has a result, its bytes and its owner
KEPT_BYTES = "mulan:kept-bytes"  # the bytes of all results
OWNER_BYTES = "mulan:owner-bytes"  # hash: the bytes of each owner's results
OWNER_ENDED = "mulan:owner-ended:"  # + owner: sorted set of an owner's results by time
ENDED = "mulan:ended"  # sorted set of the ended jobs that have a result, by time
ADMITTED = "mulan:admitted"  # the number of jobs ever admitted, which is the place of the latest
DRAINED = "mulan:drained"  # list of the time and cost of jobs done since jobs began to wait
SWEPT = "mulan:swept"  # the time of the last sweep, in milliseconds of Redis's clock
GRACE = "mulan:grace"  # while this key exists, no job is taken over
BORN = "mulan:born"  # the time of the first sweep of this data, in milliseconds of Redis's clock
SERVER = "mulan:server"  # the server that had this data at the last sweep, by its run_id
GAPS = "mulan:gaps"  # sorted set, by their ends: two such times, between which another took over
SHARD = "mulan:shard"  # which of how many shards these names are, where there are several
RUNNING = "mulan:running"  # sorted set of the running jobs by deadline
ATTENDED = "mulan:attended"  # sorted set of attended jobs by when nobody waits for them any more
LISTENERS = "mulan:listeners:"  # + checkpoint: sorted set of the workers that would claim a job
MEND = "mulan:mend"  # exists while something has to be made again of the jobs' hashes
DAMAGED = "mulan:damaged:"  # + key: what was found there and cannot be read, for a week
NOTHING = "mulan:nothing"  # a key that never exists
CALLS = "mulan:calls"  # sorted set of the ended jobs whose callback is owed, by when it is due
DEAD_LETTERS = "mulan:dead"  # sorted set of dead letters by time
DEAD_LETTER = "mulan:letter:"  # + id: hash, one dead letter

WORKERS = "mulan:workers"  # sorted set of the announced workers by the time they began
WORKER = "mulan:worker:"  # + name: the announcement of a worker
DESCRIPTORS = "mulan:papers:"  # + SHA-256 of the text: a checkpoint's descriptor
ORDERS = "mulan:orders"  # hash: the latest order to load or unload each model, by its name
ORDER_REPORTS = "mulan:order-reports:"  # + id of an order: hash, what each worker says of it

GROUP = "workers"  # the consumer group of every stream
PARKED = "parked"  # the consumer that holds the jobs taken from dead workers

WAKE = "mulan:wake:"  # + name: channel of one worker: a checkpoint of which a job begins to wait
ARRIVALS = "mulan:arrivals"  # channel on which builds before this one tell of such a job
ENDS = "mulan:ends"  # channel: the id of a job that has ended
CANCELLED = "mulan:cancelled"  # channel: the id of a running job that was cancelled
NEWS = "mulan:news"  # channel: the id of a watched job that has advanced

RATES = "mulan:rates"  # prefix of the counters of requests

# The names as scripts know them, in lower case.
IN_SCRIPTS = {name.lower(): value for name, value in vars().copy().items() if name.isupper()}
