package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/scan"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
)

// unreadableMost is how many unreadable files are named.
const unreadableMost = 1000

// gcPercent lets garbage be a quarter of the memory in use: most of that is buffers that live as long as the scan, and
// little garbage comes on top.
const gcPercent = 25

// snapshotting is one run of `looming snapshot`.
type snapshotting struct {
	*app
	opts   scan.Options
	root   string // as it was named
	client *remote.Client
	shown  *progress
	began  time.Time

	// mu guards what follows.
	mu         sync.Mutex
	unreadable []unreadable
	phase      string
	message    string
}

// snapshotTaken is what `looming snapshot --output json` prints.
type snapshotTaken struct {
	Snapshot cvd.SnapshotID `json:"snapshot"`
	CVD      string         `json:"cvd"`
	Root     cvd.Root       `json:"root"`
	// Files, Dirs and Bytes are what the snapshot holds.
	Files uint64 `json:"files"`
	Dirs  uint64 `json:"dirs"`
	Bytes uint64 `json:"bytes"`
	// BytesRead came from disk; BytesSent are frames, BytesOnWire all that the network carried both ways.
	BytesRead   int64   `json:"bytes_read"`
	BytesSent   int64   `json:"bytes_sent"`
	BytesOnWire uint64  `json:"bytes_on_wire"`
	ChunksSent  int64   `json:"chunks_sent"`
	Seconds     float64 `json:"seconds"`
	// Unreadable counts what is missing in the snapshot, UnreadableFiles names up to 1000 of them.
	Unreadable      int64        `json:"unreadable"`
	UnreadableFiles []unreadable `json:"unreadable_files"`
}

// unreadable is a file that is not in a snapshot.
type unreadable struct {
	// Path is relative to the root; bytes that are not UTF-8 are escaped.
	Path  string `json:"path"`
	Error string `json:"error"`
}

func snapshotCommand(a *app) *cobra.Command {
	s := &snapshotting{app: a}
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "centralize a desktop, or what changed in it since the last snapshot",
		Long: `snapshot reads the directory tree at --root and brings to the server what it lacks. A file that has not changed since
the last snapshot is not read. Interrupted at any moment, the next snapshot goes on from there.

Other file systems below the root, /proc, /sys and /run, Looming's own state, the backing directories of its mounts and
what --exclude names are left out. What cannot be read is named, and the exit code is 3.

Where --root is a desktop that is being streamed, what is not here yet goes into the snapshot without being fetched;
--cvd is then the desktop that is shown there.

With --output json the document has snapshot, cvd, root, files, dirs, bytes (what the snapshot holds), bytes_read,
bytes_sent, bytes_on_wire, chunks_sent, seconds, unreadable, and unreadable_files (path and error of up to 1000).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDevice(cmd, s.run)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.opts.Root, "root", systemRoot(), "`directory` that is the desktop")
	f.StringVar(&s.opts.CVD, "cvd", "", "the desktop's `name` (default: the device's, or the one that is streamed at --root)")
	f.StringArrayVar(&s.opts.Exclude, "exclude", nil, "`pattern` of what is left out: name, or path from the root; * within a name, ** across")
	f.BoolVar(&s.opts.OtherFilesystems, "other-filesystems", false, "enter other file systems below the root")
	return cmd
}

func systemRoot() string {
	if runtime.GOOS == "windows" {
		return os.Getenv("SystemDrive") + `\`
	}
	return "/"
}

func (s *snapshotting) run(ctx context.Context, c *remote.Client, d *device) error {
	debug.SetGCPercent(gcPercent)
	s.client, s.began, s.shown = c, time.Now(), s.newProgress()
	defer s.shown.end()
	works, err := s.app.shown().all()
	if err != nil {
		return fmt.Errorf("which desktops are mounted here: %w", err)
	}
	s.root = s.opts.Root
	if works, err = s.streamed(ctx, works); err != nil {
		return err
	}
	if s.opts.CVD == "" {
		s.opts.CVD = d.Name
	}
	s.opts.Cache, s.opts.Skip = d.cache(), append(works, d.dir)
	s.opts.Count = &scan.Counters{}
	s.opts.Notice = func(text string) { s.shown.say("looming: %s", text) }
	s.opts.Unreadable = s.note
	s.opts.Committing = func() { s.set("committing", "") }
	s.set("scanning", "")
	host, _ := os.Hostname() // may have none
	stop := s.watch(ctx)
	res, err := scan.Snapshot(ctx, c, s.opts, wire.CommitRequest{Host: host})
	stop()
	s.shown.end()
	if err != nil {
		s.tell("failed", err.Error())
		return fmt.Errorf("snapshot of %s: %w", s.root, err)
	}
	s.tell("done", "")
	if s.opts.Placeholders == nil {
		s.app.trees().add(s.opts.Root, s.opts.CVD)
	}
	return s.result(res)
}

// note takes a file that could not be read.
func (s *snapshotting) note(path string, err error) {
	s.mu.Lock()
	if len(s.unreadable) < unreadableMost {
		s.unreadable = append(s.unreadable, unreadable{printable(path), err.Error()})
	}
	s.mu.Unlock()
	s.shown.say("looming: cannot read %s: %v", printable(path), err)
}

func (s *snapshotting) set(phase, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.message = phase, message
}

// watch shows progress four times a second, and every second on the console, until it is stopped.
func (s *snapshotting) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(250 * time.Millisecond)
		defer t.Stop()
		var m meterOf
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			p := s.progress(&m)
			s.shown.show(&p)
			if n%4 == 0 {
				s.post(ctx, p)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// meterOf smooths a rate.
type meterOf struct {
	at   time.Time
	done int64
	rate float64
}

func (m *meterOf) take(done int64, now time.Time) float64 {
	if dt := now.Sub(m.at).Seconds(); !m.at.IsZero() && dt > 0 {
		m.rate += (float64(done-m.done)/dt - m.rate) * 0.15
	}
	m.at, m.done = now, done
	return m.rate
}

func (s *snapshotting) progress(m *meterOf) wire.Progress {
	n := s.opts.Count
	s.mu.Lock()
	defer s.mu.Unlock()
	p := wire.Progress{
		Kind: "snapshot", CVD: s.opts.CVD, Target: s.root, Phase: s.phase, Message: s.message, Started: s.began,
		FilesDone: uint64(n.Entries.Load()), BytesRead: uint64(n.BytesRead.Load()), BytesSent: uint64(n.BytesSent.Load()),
		BytesDone: uint64(n.BytesSeen.Load()), BytesTotal: uint64(n.BytesBefore.Load()), FilesTotal: uint64(n.EntriesBefore.Load()),
		Current: n.Current(), Rate: m.take(n.BytesRead.Load(), time.Now()),
	}
	if p.Phase == "scanning" && p.BytesSent > 0 {
		p.Phase = "uploading"
	}
	if p.BytesTotal > p.BytesDone && p.BytesDone > 0 {
		p.ETA = guess(time.Since(s.began).Seconds() * float64(p.BytesTotal-p.BytesDone) / float64(p.BytesDone))
	}
	return p
}

// post tells the console; a report that is lost is not missed.
func (s *snapshotting) post(ctx context.Context, p wire.Progress) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = s.client.Progress(ctx, p)
}

// tell tells the console how it ended.
func (s *snapshotting) tell(phase, message string) {
	s.set(phase, message)
	p := s.progress(&meterOf{})
	p.ETA, p.Current = 0, ""
	s.post(context.Background(), p)
}

func (s *snapshotting) result(res scan.Result) error {
	n := s.opts.Count
	doc := snapshotTaken{
		Snapshot: res.Snapshot.ID, CVD: s.opts.CVD, Root: res.Root, Files: res.Sums.Files, Dirs: res.Sums.Dirs, Bytes: res.Sums.Bytes,
		BytesRead: n.BytesRead.Load(), BytesSent: n.BytesSent.Load(), ChunksSent: n.ChunksSent.Load(),
		Seconds: time.Since(s.began).Seconds(), Unreadable: res.Unreadable, UnreadableFiles: append([]unreadable{}, s.unreadable...),
	}
	for _, class := range []remote.Class{remote.Upload, remote.Control} {
		in, out := s.client.Crossed(class)
		doc.BytesOnWire += in + out
	}
	err := s.print(doc, func() {
		fmt.Fprintf(s.out, "snapshot    %s\nfiles       %s (%s)\nbytes read  %s\nbytes sent  %s\nseconds     %.1f\nunreadable  %d\n",
			doc.Snapshot, humanize.Comma(int64(doc.Files)), humanize.Bytes(doc.Bytes), humanize.Bytes(uint64(doc.BytesRead)),
			humanize.Bytes(uint64(doc.BytesSent)), doc.Seconds, doc.Unreadable)
	})
	if err == nil && res.Unreadable > 0 {
		return exit.Reported(errors.Join(exit.ErrPart))
	}
	return err
}
