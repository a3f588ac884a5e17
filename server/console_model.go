package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// How old a report may be. A device reports at least every few seconds while it works.
const (
	quiet     = 20 * time.Second // after this, work that is not over is shown as offline
	showEnded = 24 * time.Hour   // work that is over
	showLost  = 7 * 24 * time.Hour
)

// over says whether nothing follows a phase.
func over(phase string) bool {
	return slices.Contains([]string{"native", "stopped", "failed", "done"}, phase)
}

// Fleet implements console.Fleet: everything that is there now.
func (f face) Fleet(ctx context.Context) (console.Model, error) {
	var m console.Model
	reports, err := f.reports(ctx)
	if err != nil {
		return m, err
	}
	for i := range reports {
		r := &reports[i]
		if r.Kind == "stream" {
			m.Streams = append(m.Streams, stream(r))
		} else {
			m.Uploads = append(m.Uploads, upload(r))
		}
	}
	busyFirst(m.Streams, func(s *console.Stream) (bool, string) { return over(string(s.Phase)), s.ID })
	busyFirst(m.Uploads, func(u *console.Upload) (bool, string) {
		return u.Phase == console.Committed || u.Phase == console.Failed, u.ID
	})
	if m.Endpoints, err = f.liveEndpoints(ctx, activitiesOf(reports)); err != nil {
		return m, err
	}
	if err := f.desktopsAndVolumes(ctx, &m); err != nil {
		return m, err
	}
	m.Totals, err = f.totals(ctx, reports)
	return m, err
}

// reports are what devices said about work that is under way or was lately.
func (f face) reports(ctx context.Context) ([]postgres.Progress, error) {
	all, err := f.db.Progresses(ctx, showLost, 2*console.MaxLive)
	return slices.DeleteFunc(all, func(p postgres.Progress) bool { return over(p.Phase) && p.Age > showEnded }), err
}

// busyFirst sorts what moves before what is over, and each by id, so that rows keep their places.
func busyFirst[T any](list []T, key func(*T) (over bool, id string)) {
	slices.SortFunc(list, func(a, b T) int {
		overA, idA := key(&a)
		overB, idB := key(&b)
		if overA != overB {
			if overA {
				return 1
			}
			return -1
		}
		return cmp.Compare(idA, idB)
	})
}

func (f face) liveEndpoints(ctx context.Context, doing map[string]string) ([]console.Endpoint, error) {
	var all []console.Endpoint
	for _, q := range []postgres.PageQuery{
		{State: postgres.Pending, Sort: "name", Limit: console.MaxLive},
		{Sort: "online", Desc: true, Limit: console.MaxLive},
	} {
		list, _, err := f.db.DevicesPage(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if q.State == postgres.Pending || list[i].State != postgres.Pending {
				all = append(all, endpoint(&list[i], doing))
			}
		}
	}
	return all[:min(len(all), console.MaxLive)], nil
}

func (f face) desktopsAndVolumes(ctx context.Context, m *console.Model) error {
	desktops, _, err := f.db.DesktopsPage(ctx, postgres.PageQuery{Sort: "last_snapshot", Desc: true, Limit: console.MaxLive})
	if err != nil {
		return err
	}
	for i := range desktops {
		m.Desktops = append(m.Desktops, desktop(&desktops[i]))
	}
	volumes, err := f.content.Volumes(ctx)
	for _, v := range volumes {
		message := v.Problem
		if message == "" && v.Drained {
			message = "drained: takes no new packs"
		}
		m.Volumes = append(m.Volumes, console.Volume{Name: v.URL, UsedBytes: v.Bytes, FreeBytes: v.Free, Message: message})
	}
	slices.SortFunc(m.Volumes, func(a, b console.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return err
}

func (f face) totals(ctx context.Context, reports []postgres.Progress) (console.Totals, error) {
	c, err := f.db.Counts(ctx)
	t := console.Totals{
		Endpoints: c.Devices, Online: c.Online, Pending: c.Pending, Desktops: c.Desktops, Snapshots: c.Snapshots,
		LogicalBytes: c.Logical, StoredBytes: c.Stored,
	}
	t.DedupSavedBytes = max(0, c.Logical-c.Plain)
	t.CompressionSavedBytes = c.Logical - c.Stored - t.DedupSavedBytes
	for i := range reports {
		switch {
		case over(reports[i].Phase):
		case reports[i].Kind == "stream":
			t.Streams++
		default:
			t.Uploads++
		}
	}
	return t, err
}

// activities says for each device what it does now.
func (f face) activities(ctx context.Context) (map[string]string, error) {
	reports, err := f.reports(ctx)
	return activitiesOf(reports), err
}

func activitiesOf(reports []postgres.Progress) map[string]string {
	doing := map[string]string{}
	for i := range reports {
		r := &reports[i]
		if over(r.Phase) || r.Age > quiet || doing[r.Device] != "" {
			continue
		}
		verb := "centralizing"
		if r.Kind == "stream" {
			verb = "streaming"
		}
		doing[r.Device] = verb + " " + r.CVD
	}
	return doing
}

func endpoint(d *postgres.DeviceRow, doing map[string]string) console.Endpoint {
	return console.Endpoint{
		ID: d.Name, Name: d.Name, Hostname: d.Host, Key: hex.EncodeToString(d.Fingerprint[:]), Address: d.Address, OS: d.OS, State: console.State(d.State),
		Online: d.Online, LastSeen: d.LastSeen, Activity: doing[d.Name],
	}
}

func desktop(r *postgres.DesktopRow) console.Desktop {
	d := console.Desktop{
		Name: r.Name, Owner: r.Owner, Snapshots: int64(r.Snapshots), LastSnapshot: r.LatestAt,
		LogicalBytes: r.LogicalBytes, StoredBytes: r.StoredBytes, UniqueBytes: r.UniqueBytes,
	}
	if r.AllLogicalBytes > 0 {
		d.SavedBytes = r.AllLogicalBytes - r.UniqueBytes
		d.SavedShare = float64(d.SavedBytes) / float64(r.AllLogicalBytes)
	}
	return d
}

// phaseOf is the phase as reported, or offline for work that is not over and was not heard of for a while.
func phaseOf(p *postgres.Progress) (console.Phase, string) {
	if p.Phase == "done" {
		return console.Committed, p.Message
	}
	if !over(p.Phase) && p.Age > quiet {
		return console.Offline, strings.TrimSpace("Not heard of since " + p.Updated.UTC().Format("2006-01-02 15:04:05") + " UTC. " + p.Message)
	}
	return console.Phase(p.Phase), p.Message
}

func stream(p *postgres.Progress) console.Stream {
	s := console.Stream{
		ID: p.Device + ":" + p.Target, Device: p.Device, CVD: p.CVD, Snapshot: snapshotName(p.Progress), Target: p.Target,
		StartDone: count64(p.StartDone), StartTotal: count64(p.StartTotal), BytesDone: count64(p.BytesDone), BytesTotal: count64(p.BytesTotal),
		FilesDone: count64(p.FilesDone), FilesTotal: count64(p.FilesTotal), DemandBytes: count64(p.DemandBytes),
		PrefetchBytes: count64(p.PrefetchBytes), DemandCount: count64(p.DemandCount), Current: p.Current,
		Started: p.Started, Updated: p.Updated,
	}
	s.Phase, s.Message = phaseOf(p)
	if !over(string(s.Phase)) && s.Phase != console.Offline {
		s.BytesPerSecond = int64(finite(p.Rate))
		if eta := int64(finite(p.ETA)); eta > 0 {
			s.ETASeconds = &eta
		}
	}
	for _, m := range p.Misses {
		s.Misses = append(s.Misses, console.Miss{Path: m.Path, Bytes: count64(m.Bytes), WaitMS: int64(finite(m.WaitMS)), At: m.At})
	}
	return s
}

func upload(p *postgres.Progress) console.Upload {
	u := console.Upload{
		ID: p.Device + ":" + p.CVD, Device: p.Device, CVD: p.CVD, FilesDone: count64(p.FilesDone),
		BytesRead: count64(p.BytesRead), BytesSent: count64(p.BytesSent), Current: p.Current, Started: p.Started, Updated: p.Updated,
	}
	u.Phase, u.Message = phaseOf(p)
	if !over(p.Phase) && u.Phase != console.Offline {
		u.BytesPerSecond = int64(finite(p.Rate))
	}
	return u
}

func snapshotName(p wire.Progress) string {
	if p.Snapshot.IsZero() {
		return ""
	}
	return p.Snapshot.String()
}

// count64 and finite take no device's word for a number that would not fit.
func count64(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func finite(v float64) float64 {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return min(v, 1<<53)
}
