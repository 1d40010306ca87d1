-- Forget the order of a name, if it is still this one.
local name, order = unpack(ARGV, 2)
if call('HGET', names.orders, name) == order then
  call('HDEL', names.orders, name)
end
return 0
