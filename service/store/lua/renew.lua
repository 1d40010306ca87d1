-- Renew leases. ARGV has the consumer, then id and epoch of each claim in turn. Returns the
-- positions, from 0, of the claims that no longer hold their job.
local lost = {}
for i = 2, #ARGV, 2 do
  local job = held(ARGV[i], ARGV[i + 1])
  if job then
    redis.call('XCLAIM', names.queue .. job.queue, names.group, ARGV[1], 0, job.entry, 'FORCE',
      'JUSTID')
  else
    lost[#lost + 1] = i / 2 - 1
  end
end
return lost
