package bugs

// inner are bugs of the due index, of the loops, and of what goes outside.
func inner() []Bug {
	return []Bug{
		{
			Name:  "release forgets to put back",
			Ahead: true, Load: Load{Stay: 30},
		},
		{
			Name: "cascade reports too much as indexed",
			Load: Load{Stay: 50, Linger: 8},
		},
		{
			Name: "rebuild knows the shipped types only",
			Load: Load{Stay: 30, Types: 8},
		},
		{
			Name:   "old keys left behind",
			Inject: leaveOldKey, Load: Load{Quiet: true, Linger: 20},
		},
		{
			Name:   "create without margin",
			Inject: slowCommits, Load: Load{Edge: true, Quiet: true},
		},
		{
			Name:   "repair does not look at what is overdue",
			Inject: killAPIsBeforeIndex, Load: Load{Soon: 3, Quiet: true},
		},
		{
			Name:   "webhook repeats what was not answered",
			Inject: rudeWitness,
		},
		{
			Name:   "claim without the move",
			Inject: killWorkers,
			Harmless: "what nobody holds is overdue a second later, and the repair indexes it again; " +
				"the move to claimed saves that second",
		},
		{
			Name: "claim leaves the tasks due",
		},
	}
}
