package main

import "github.com/projecteru2/eru-agent/bench/plan"

func (b *bench) faults() []plan.Step { return nil }
func (b *bench) panics() []plan.Step { return nil }
func (b *bench) scales() []plan.Step { return nil }
