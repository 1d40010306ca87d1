-- Announce a worker; ARGV ends with the descriptors of its checkpoints: digest, number of bytes, and
-- text, or nothing in its place, in turn. Returns the digests whose text is needed first; then
-- nothing is announced.
local name, since, entry, life_ms = unpack(ARGV, 2, 5)
regardless_of_memory()
local missing = {}
for i = 6, #ARGV, 3 do
  local key, text = names.descriptors .. ARGV[i], ARGV[i + 2]
  if text ~= '' then
    redis.call('SET', key, text, 'PX', life_ms)
  elseif call('STRLEN', key) == tonumber(ARGV[i + 1]) then
    redis.call('PEXPIRE', key, life_ms)
  else
    missing[#missing + 1] = ARGV[i]
  end
end
if #missing > 0 then return missing end
redis.call('SET', names.worker .. name, entry, 'PX', life_ms)
call('ZADD', names.workers, since, name)
return missing
