-- Never make the call about a job.
call('ZREM', names.calls, ARGV[2])
