-- Have a call due again at a time, or never where that is '', if no later attempt holds it.
local id, attempt, due = unpack(ARGV)
if redis.call('HGET', names.job .. id, 'calls') ~= attempt then return end
if due == '' then
  redis.call('ZREM', names.calls, id)
else
  redis.call('ZADD', names.calls, due, id)
end
