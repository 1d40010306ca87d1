-- Forget the order of a name, if it is still this one.
local name, order = unpack(ARGV)
if redis.call('HGET', names.orders, name) == order then
  redis.call('HDEL', names.orders, name)
end
return 0
