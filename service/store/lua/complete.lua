-- End a job with its outcome, once. Returns 0 if it had ended already or a later claim holds it.
local id, epoch, status, outcome, now, window = unpack(ARGV)
local job = held(id, epoch)
if not job then return 0 end
finish(id, job, status, outcome, now, {unpack(ARGV, 7)})
redis.call('RPUSH', names.drained, now .. ' ' .. job.cost)
redis.call('LTRIM', names.drained, -window, -1)
return 1
