-- Have a call due again at a time, or never where that is '', if no later attempt holds it.
local id, attempt, due = unpack(ARGV, 2)
if call('HGET', names.job .. id, 'calls') ~= attempt then return end
if due == '' then
  call('ZREM', names.calls, id)
else
  call('ZADD', names.calls, due, id)
end
