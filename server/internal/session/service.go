package session

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// Options of a Service; the zero value works.
type Options struct {
	// Volumes are the URLs of volumes to add where the database lacks them.
	Volumes []string
	// FirstVolume is added where the database knows no volume at all; empty is none.
	FirstVolume string
	// Lease is how long a session lives without a request; 0 is ten minutes.
	Lease time.Duration
	// Uploads is how many uploads are taken at once, the others wait; 0 is 16. Each holds 2 to 4 MiB.
	// Windows is how many MiB, read for downloads, wait to be sent; 0 is 24. What is asked for in small numbers, as
	// demands are, has as many of its own and never waits for bulk; what is sent slowly, by a limit or a slow line's pace,
	// has others, too. Of all places one device has a few at most.
	Uploads, Windows int
	// Log takes what the process should tell its admin; nil is slog.Default.
	Log *slog.Logger
}

func (o *Options) defaults() {
	if o.Lease <= 0 {
		o.Lease = 10 * time.Minute
	}
	if o.Uploads <= 0 {
		o.Uploads = 16
	}
	if o.Windows <= 0 {
		o.Windows = 24
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Service serves content. It may be used from several goroutines, and several
// processes may each have one on the same database and volumes.
type Service struct {
	db      *postgres.DB
	opts    Options
	volumes volumes
	where   locations
	packs   openPacks
	sets    setCache
	uploads *places
	kinds   [kinds]*places
	bulk    *places // windows of large downloads
	demand  *places // and of small ones
	lines   lines
	clock   clock
	stats   counters

	slowBulk, slowDemand *places // of those that are sent slowly
}

// Open opens the volumes that the database knows and adds those of the options.
// A volume that is away is no error: what needs it fails until it is back.
func Open(ctx context.Context, db *postgres.DB, opts Options) (*Service, error) {
	opts.defaults()
	s := &Service{
		db: db, opts: opts, clock: newClock(),
		uploads: newPlaces(opts.Uploads, uploadShare),
		bulk:    newPlaces(opts.Windows, windowShare), demand: newPlaces(opts.Windows, windowShare),
		slowBulk: newPlaces(slowPlaces*opts.Windows, slowShare), slowDemand: newPlaces(slowPlaces*opts.Windows, slowShare),
	}
	for i, n := range kindPlaces {
		s.kinds[i] = newPlaces(n.all, n.share)
	}
	s.volumes.db = db
	s.packs.volumes = &s.volumes
	s.packs.db = db
	s.sets.db = db
	if err := s.volumes.load(ctx, opts.Log); err != nil {
		return nil, err
	}
	if opts.FirstVolume != "" && len(s.volumes.known) == 0 {
		opts.Volumes = append([]string{opts.FirstVolume}, opts.Volumes...)
	}
	for _, url := range opts.Volumes {
		if _, err := s.volumes.add(ctx, url); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close closes open packs. No request may be under way.
func (s *Service) Close() error { return s.packs.close() }

// Begin opens an upload session of a device for a CVD, which is made where it does not exist.
func (s *Service) Begin(ctx context.Context, device int64, req wire.BeginRequest) (wire.Session, error) {
	if err := checkName(req.CVD); err != nil {
		return wire.Session{}, err
	}
	sess, err := s.db.BeginSession(ctx, device, req.CVD, s.opts.Lease)
	if err != nil {
		return wire.Session{}, err
	}
	latest, err := s.db.Latest(ctx, sess.CVD)
	if err != nil {
		return wire.Session{}, err
	}
	s.stats.begun.Add(1)
	return wire.Session{ID: sess.Token.String(), Lease: int(s.opts.Lease / time.Second), Latest: latest.ID, Root: latest.Root}, nil
}

// checkName says what makes a name unfit for a CVD.
func checkName(name string) error {
	if name == "" || len(name) > 200 || !utf8.ValidString(name) || name != strings.TrimSpace(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '/' }) {
		return fmt.Errorf("%w: %q cannot be the name of a desktop: want 1 to 200 bytes of text without slash", wire.ErrInvalid, name)
	}
	return nil
}

// Abandon gives a session up.
func (s *Service) Abandon(ctx context.Context, device int64, id string) error {
	sess, err := s.use(ctx, device, id)
	if err != nil {
		return err
	}
	return s.db.AbandonSession(ctx, sess)
}

// use finds the session of a request and renews its lease.
func (s *Service) use(ctx context.Context, device int64, id string) (*postgres.Session, error) {
	token, err := postgres.ParseToken(id)
	if err != nil {
		return nil, err
	}
	return s.db.UseSession(ctx, token, device, s.opts.Lease)
}

// counters are what the process did since it started.
type counters struct {
	begun, committed, incomplete                    atomic.Uint64
	packs, uploadedChunks, uploadedBytes, badFrames atomic.Uint64
	asked, present, unproven, proved, refused       atomic.Uint64
	fetchedChunks, fetchedBytes, denied, damaged    atomic.Uint64
	packReads, packBytes, cacheHits, cacheMisses    atomic.Uint64
}

// Stats are counters since the process started, for metrics.
type Stats struct {
	SessionsBegun, SnapshotsCommitted, CommitsIncomplete uint64
	PacksWritten, UploadedChunks, UploadedBytes          uint64 // bytes of frames
	BadFrames                                            uint64
	HaveAsked, HavePresent, HaveUnproven                 uint64
	Proved, ProofsRefused                                uint64
	FetchedChunks, FetchedBytes                          uint64 // bytes of frames
	FetchDenied, DamagedFound                            uint64
	PackReads, PackBytes                                 uint64
	LocationHits, LocationMisses                         uint64
}

// Stats reads the counters.
func (s *Service) Stats() Stats {
	c := &s.stats
	return Stats{
		SessionsBegun: c.begun.Load(), SnapshotsCommitted: c.committed.Load(), CommitsIncomplete: c.incomplete.Load(),
		PacksWritten: c.packs.Load(), UploadedChunks: c.uploadedChunks.Load(), UploadedBytes: c.uploadedBytes.Load(),
		BadFrames: c.badFrames.Load(),
		HaveAsked: c.asked.Load(), HavePresent: c.present.Load(), HaveUnproven: c.unproven.Load(),
		Proved: c.proved.Load(), ProofsRefused: c.refused.Load(),
		FetchedChunks: c.fetchedChunks.Load(), FetchedBytes: c.fetchedBytes.Load(),
		FetchDenied: c.denied.Load(), DamagedFound: c.damaged.Load(),
		PackReads: c.packReads.Load(), PackBytes: c.packBytes.Load(),
		LocationHits: c.cacheHits.Load(), LocationMisses: c.cacheMisses.Load(),
	}
}
