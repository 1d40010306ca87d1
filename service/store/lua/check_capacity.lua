-- Whether an owner's job of this cost may wait: false, or what put would answer.
local owner, cost, now, capacity, capacity_cost = unpack(ARGV)
return overload(owner, cost, now, capacity, capacity_cost) or false
