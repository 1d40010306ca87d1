-- Hold on to jobs; ARGV: consumer, then id and epoch in turn. The positions, from 0, of
-- those that are held no longer.
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
