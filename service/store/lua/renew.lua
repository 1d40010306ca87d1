-- Renew leases. ARGV has the consumer, then id and epoch of each claim in turn. Returns the
-- positions, from 0, of the claims that no longer hold their job.
local lost = {}
for i = 3, #ARGV, 2 do
  local job = held_fields(ARGV[i], ARGV[i + 1], 'queue', 'entry')
  if job then
    local claimed = redis.pcall('XCLAIM', names.queue .. (job[3] or ''), names.group, ARGV[2], 0,
      job[4] or '', 'FORCE', 'JUSTID')
    if claimed.err then want_mending() end
  else
    lost[#lost + 1] = (i - 3) / 2
  end
end
return lost
