// Package prefetch decides what a desktop's background filling brings next, and brings it.
//
// A [Recorder] notes what is opened and read. It folds that into a [Tally] (how often and how lately each path is used,
// FORMAT.md) with a [Trace] of every start (first uses in order). A [Plan] is a pure function of the tree, the tally and
// the start set: the order of work. A [Runner] works through the plan with a [Filler], at the pace that the line holds
// (where the filler is a [Line]; else keeping in flight what the link holds), giving way to demand, and surviving cuts.
//
// Nothing here touches files, clocks of its own choosing or the network: owners keep the encoded tally, tests pass time.
// Paths are bytes, slash-separated, relative to the desktop's root, without a leading slash; the root itself is "".
//
// # Use
//
//	rec := prefetch.NewRecorder(prefetch.RecorderOptions{Machine: id}) // at mount
//	rec.Opened("usr/bin/python3.11")                                   // from any goroutine, never blocks
//	rec.Flush(tally); os.WriteFile(..., tally.Encode())                // now and then, by the owner
//
//	plan := prefetch.NewPlan(tree, tally, tally.StartSet(), time.Now())
//	err := prefetch.NewRunner(plan, filler, prefetch.Options{Report: show}).Run(ctx)
//
// # Locks
//
// Only a Recorder, and of a Plan Used, may be used by several goroutines at once; flushing stands above the lock of a
// Recorder's buffer. A Tally and a Plan else belong to one goroutine, a Runner's callbacks come from the goroutine that called Run.
package prefetch
