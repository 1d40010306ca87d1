-- Write the fields of a job's hash that never change once more; ARGV ends with names and values.
local id = ARGV[2]
if redis.call('EXISTS', names.job .. id) == 1 then
  redis.call('HSET', names.job .. id, unpack(ARGV, 3))
end
