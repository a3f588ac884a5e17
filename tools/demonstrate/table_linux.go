package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// sumUp shows the table.
func (d *demo) sumUp(ctx context.Context) error {
	st, err := d.server.Stats(ctx)
	if err != nil {
		return err
	}
	f, s := &d.figures, d.screen
	s.step("In figures")
	s.say("  %-44s %10s %14s", "from the start of the stream until", "seconds", "over the line")
	s.row("the first file could be opened", f.first)
	if f.programName != "" {
		s.row("a program of the desktop ran ("+filepath.Base(f.programName)+")", f.program)
	}
	s.row("native: all files here, and verified", f.native)
	s.say("")
	s.item("desktop", "%s files, %s; the same over this line as it is: %s", humanize.Comma(int64(d.taken.Files)), bytes(d.taken.Bytes), lineTime(d.taken.Bytes))
	s.item("waited", "%s reads waited for %s; %s came in the background", humanize.Comma(int64(f.stream.DemandCount)), bytes(f.stream.DemandBytes), bytes(f.stream.PrefetchBytes))
	s.item("stored", "%s", d.stored(st))
	return nil
}

// stored is what the server's packs hold: of this desktop while it is the only
// one and has not changed, else of all that the demo has shown.
func (d *demo) stored(st lab.Stats) string {
	plain := st.LogicalBytes - st.DedupSavedBytes
	if same := int64(d.taken.Bytes) - plain; st.Desktops == 1 && same >= 0 {
		return fmt.Sprintf("%s on the server: deduplication saved %s, compression %s", bytes(st.StoredBytes), bytes(same), bytes(plain-st.StoredBytes))
	}
	return fmt.Sprintf("%s on the server for %s of %s, %s: deduplication saved %s, compression %s", bytes(st.StoredBytes),
		english.Plural(st.Snapshots, "snapshot", ""), english.Plural(st.Desktops, "desktop", ""), bytes(st.LogicalBytes),
		bytes(st.DedupSavedBytes), bytes(st.CompressionSavedBytes))
}

// lineTime is how long plain bytes take over the line.
func lineTime(n uint64) string {
	return time.Duration(8 * float64(n) / float64(lineRate) * float64(time.Second)).Round(time.Second).String()
}
