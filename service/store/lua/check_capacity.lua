-- Whether an owner's job of this cost may wait: false, or what put would answer.
local owner, cost, capacity, capacity_cost = unpack(ARGV, 2)
return overload(owner, cost, capacity, capacity_cost, waits()) or false
