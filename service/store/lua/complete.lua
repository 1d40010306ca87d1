-- End a job with its outcome, once. Returns 0 if it had ended already or a later claim holds it.
local id, epoch, status, outcome = unpack(ARGV, 2)
local job = held(id, epoch)
if not job then return 0 end
finish(id, job, status, outcome)
if call('RPUSH', names.drained, ARGV[1] .. ' ' .. job.cost) > 2 * constants.window then
  redis.call('LTRIM', names.drained, -constants.window, -1)
end
return 1
