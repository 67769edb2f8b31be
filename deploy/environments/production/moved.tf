# States of before modules/stack find their resources again. Drop it once each state has been applied.

moved {
  from = module.secrets
  to   = module.stack.module.secrets
}

moved {
  from = module.registry
  to   = module.stack.module.registry
}

moved {
  from = module.network
  to   = module.stack.module.network
}

moved {
  from = module.cluster
  to   = module.stack.module.cluster
}

moved {
  from = module.edge
  to   = module.stack.module.edge
}

moved {
  from = module.live
  to   = module.stack.module.live
}

moved {
  from = module.shadow
  to   = module.stack.module.shadow
}

moved {
  from = module.router
  to   = module.stack.module.router
}

moved {
  from = module.observability
  to   = module.stack.module.observability
}

moved {
  from = module.cost
  to   = module.stack.module.cost
}

moved {
  from = module.store
  to   = module.stack.module.store[0]
}
