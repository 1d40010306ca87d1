-- Announce a worker; ARGV ends with the descriptors of its checkpoints, digest and text in turn.
local name, since, entry, life_ms = unpack(ARGV, 2, 5)
regardless_of_memory()
for i = 6, #ARGV, 2 do
  redis.call('SET', names.descriptors .. ARGV[i], ARGV[i + 1], 'PX', life_ms)
end
redis.call('SET', names.worker .. name, entry, 'PX', life_ms)
call('ZADD', names.workers, since, name)
