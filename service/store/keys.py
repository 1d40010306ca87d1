"""Every name in Redis. A queue is called `{checkpoint}:{priority}`, and with API keys
`{checkpoint}:{priority}:{owner}`."""

JOB = "mulan:job:"  # + id: a hash, the job's standing
TASK = "mulan:task:"  # + id: the job, encoded
RESULT = "mulan:result:"  # + id: the outcome, encoded
STORY = "mulan:story:"  # + id: a stream of its latest advances, while somebody watches
IDEMPOTENCY = "mulan:idempotency:"  # + scope: a hash, the job and the digest of its request
INDEX = "mulan:index"  # sorted set of all jobs by place
OWNED = "mulan:owned:"  # + owner: sorted set of that owner's jobs by place
QUEUE = "mulan:queue:"  # + queue: the stream of what waits or runs
RETURNED = "mulan:returned:"  # + queue: sorted set, delivered entries that wait again, by place
SUSPECTS = "mulan:suspects:"  # + queue: the same, of those that are to run alone
QUEUES = "mulan:queues"  # set of queues whose stream is there
WAITING = "mulan:waiting"  # sorted set of waiting jobs by deadline: what admission is bounded by
WAITING_COST = "mulan:waiting-cost"  # what they are predicted to cost
OWNER_JOBS = "mulan:owner-jobs"  # hash: how many jobs of each owner wait
OWNER_COST = "mulan:owner-cost"  # hash: what those are predicted to cost
TURN = "mulan:turn"  # the present tag of the fair queue, in row-evaluations
TURNS = "mulan:turns"  # hash: the tag at which each owner's taken work would end
KEPT = "mulan:kept"  # hash: of each job whose result is kept, bytes and owner
KEPT_BYTES = "mulan:kept-bytes"  # bytes of all kept results
OWNER_BYTES = "mulan:owner-bytes"  # hash: bytes of each owner's kept results
OWNER_ENDED = "mulan:owner-ended:"  # + owner: sorted set of its kept results by when they ended
ENDED = "mulan:ended"  # sorted set of ended jobs whose result is kept, by when
ADMITTED = "mulan:admitted"  # how many jobs there were ever: a job's place
DRAINED = "mulan:drained"  # list of when jobs were done since others began to wait, and their cost
SWEPT = "mulan:swept"  # when a sweep came last, milliseconds of Redis's clock
GRACE = "mulan:grace"  # while it is there, nobody's jobs are taken over
NOTHING = "mulan:nothing"  # is never there
DEAD = "mulan:dead"  # sorted set of dead letters by when
LETTER = "mulan:letter:"  # + id: a hash, one dead letter

WORKERS = "mulan:workers"  # sorted set of announced workers by when they began
WORKER = "mulan:worker:"  # + name: what it serves; gone when it is
DESCRIPTORS = "mulan:papers:"  # + SHA-256 of the text: a checkpoint's manifest

GROUP = "workers"  # the consumer group of every stream
PARKED = "parked"  # the consumer that holds what was taken from dead workers

ARRIVALS = "mulan:arrivals"  # channels: a job waits; its queue
ENDS = "mulan:ends"  # a job has ended; its id
CANCELLED = "mulan:cancelled"  # a job that ran was cancelled; its id
NEWS = "mulan:news"  # a job that is watched has advanced; its id

RATES = "mulan:rates"  # leads what counts the requests of each key

# What the scripts call them.
IN_SCRIPTS = {name.lower(): value for name, value in vars().copy().items() if name.isupper()}
