"""Every name in Redis. A queue is called `{checkpoint}:{priority}`."""

JOB = "mulan:job:"  # + id: a hash, the job's standing
TASK = "mulan:task:"  # + id: the job, encoded
RESULT = "mulan:result:"  # + id: the outcome, encoded
QUEUE = "mulan:queue:"  # + queue: the stream of what waits or runs
RETURNED = "mulan:returned:"  # + queue: sorted set, delivered entries that wait again, by place
QUEUES = "mulan:queues"  # set of queues whose stream is there
WAITING = "mulan:waiting"  # sorted set of waiting jobs by deadline: what admission is bounded by
ENDED = "mulan:ended"  # sorted set of ended jobs by when
ADMITTED = "mulan:admitted"  # how many jobs there were ever: a job's place
DRAINED = "mulan:drained"  # list of when jobs were done since others began to wait
SWEPT = "mulan:swept"  # when a sweep came last, milliseconds of Redis's clock
GRACE = "mulan:grace"  # while it is there, nobody's jobs are taken over
DEAD = "mulan:dead"  # sorted set of dead letters by when
LETTER = "mulan:letter:"  # + id: a hash, one dead letter

WORKERS = "mulan:workers"  # sorted set of announced workers by when they began
WORKER = "mulan:worker:"  # + name: what it serves; gone when it is
PAPERS = "mulan:papers:"  # + SHA-256 of the text: a checkpoint's manifest

GROUP = "workers"  # the consumer group of every stream
PARKED = "parked"  # the consumer that holds what was taken from dead workers

ARRIVALS = "mulan:arrivals"  # channels: a job waits; its queue
ENDS = "mulan:ends"  # a job has ended; its id
CANCELLED = "mulan:cancelled"  # a job that ran was cancelled; its id

# What the scripts call them.
IN_SCRIPTS = {name.lower(): value for name, value in vars().copy().items() if name.isupper()}
