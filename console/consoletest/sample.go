package consoletest

import (
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/looming-project/looming/console"
)

const (
	mb = 1_000_000
	gb = 1_000_000_000
)

// Sample is a fleet as an admin of a middling organisation would see it on a working morning.
func Sample(now time.Time) console.Model {
	m := console.Model{
		Endpoints: endpoints(now),
		Desktops:  desktops(now),
		Streams:   streams(now),
		Uploads:   uploads(now),
		Volumes: []console.Volume{
			{Name: "/srv/looming/packs", UsedBytes: 412 * gb, FreeBytes: 1_530 * gb},
			{Name: "s3://looming-archive", UsedBytes: 96 * gb, FreeBytes: -1},
		},
	}
	m.Totals = console.Totals{
		Endpoints: int64(len(m.Endpoints)), Streams: 4, Uploads: 2, Desktops: int64(len(m.Desktops)), Snapshots: 1_284,
		LogicalBytes: 5_310 * gb, StoredBytes: 508 * gb, DedupSavedBytes: 4_264 * gb, CompressionSavedBytes: 538 * gb,
	}
	for _, e := range m.Endpoints {
		if e.Online {
			m.Totals.Online++
		}
		if e.State == console.Pending {
			m.Totals.Pending++
		}
	}
	return m
}

// Snapshots are a desktop's last days.
func Snapshots(cvd string, now time.Time) []console.Snapshot {
	var all []console.Snapshot
	for i := range 18 {
		added := int64(14*mb) + int64(i*i%7)*9*mb
		if i == 17 {
			added = 1_410 * mb
		}
		all = append(all, console.Snapshot{
			ID: fmt.Sprintf("%016x", uint64(i+3)*0x9e3779b97f4a7c15), CVD: cvd, Device: device(2),
			At: now.Add(-time.Duration(i*24)*time.Hour - 47*time.Minute), Files: int64(203_118 - i*211),
			LogicalBytes: int64(3_921*mb - i*31*mb), NewBytes: added,
		})
	}
	return all
}

// Moving is the one stream whose course Step knows.
const Moving = "st-anna"

// Step is Moving's stream at a moment from 0 to 1 of its course.
func Step(at float64, now time.Time) console.Stream {
	const all, start = 3_912 * mb, 418 * mb
	done := int64(at * all)
	s := console.Stream{
		ID: Moving, Device: device(2), CVD: "anna.weber", Snapshot: "8f21c07ab94e52d1", Target: "/srv/desktop",
		Phase: console.Filling, StartTotal: start, StartDone: min(start, done), BytesTotal: all, BytesDone: done,
		FilesTotal: 203_118, FilesDone: int64(at * 203_118), BytesPerSecond: 2_410_000,
		Current: "usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", RateHistory: wave(2_410_000, 5),
		Started: now.Add(-time.Duration(at * float64(26*time.Minute))), Updated: now, Misses: misses(now),
	}
	s.DemandBytes = min(done, int64(184*mb*math.Sqrt(at)))
	s.PrefetchBytes = min(done-s.DemandBytes, int64(at*0.83*all))
	s.DemandCount = int64(math.Ceil(61 * at))
	left := int64((1 - at) * 26 * 60)
	s.ETASeconds = &left
	switch {
	case at == 0:
		s.Phase, s.Current, s.ETASeconds, s.Misses = console.Listing, "", nil, nil
	case s.StartDone < start:
		s.Phase = console.Start
	case at >= 1:
		s.Phase, s.Current, s.BytesPerSecond, s.ETASeconds = console.Native, "", 0, nil
	}
	return s
}

func streams(now time.Time) []console.Stream {
	eta := int64(68)
	filling := Step(0.43, now)
	early := console.Stream{
		ID: "st-kiosk", Device: device(5), CVD: "kiosk-lobby", Snapshot: "11c2aa07de01b3f4", Target: "/sysroot",
		Phase: console.Start, StartTotal: 402 * mb, StartDone: 254 * mb, BytesTotal: 2_240 * mb, BytesDone: 871 * mb,
		DemandBytes: 61 * mb, PrefetchBytes: 190 * mb, DemandCount: 12, FilesTotal: 98_412, FilesDone: 21_007,
		BytesPerSecond: 11_800_000, ETASeconds: &eta, Current: "usr/bin/gnome-shell", RateHistory: wave(11_800_000, 3),
		Misses: misses(now)[2:4], Started: now.Add(-40 * time.Second), Updated: now,
	}
	waits := Step(1, now)
	waits.ID, waits.CVD, waits.Device, waits.Target, waits.Phase = "st-lab", "lab-physics-03", device(7), "/srv/lab", console.Waiting
	waits.Message = "Everything is here. To pivot, close /srv/lab/home/lab/measure.db: python3 (process 4711) writes it."
	waits.Misses = nil
	lost := Step(0.71, now)
	lost.ID, lost.CVD, lost.Device, lost.Phase = "st-jonas", "jonas.brandt", device(9), console.Offline
	lost.Message = "No word from the endpoint for 4 minutes. It goes on by itself when the link is back."
	lost.Updated, lost.BytesPerSecond, lost.ETASeconds, lost.Misses = now.Add(-4*time.Minute), 0, nil, misses(now)[:1]
	native := Step(1, now.Add(-9*time.Minute))
	native.ID, native.CVD, native.Device = "st-mira", "mira.kowalski", device(11)
	failed := Step(0.18, now)
	failed.ID, failed.CVD, failed.Device, failed.Phase = "st-paul", "paul.richter", device(12), console.Failed
	failed.Message = "No space left on /srv: 1.20 GB are missing. Free space there, then run looming stream again; it goes on from here."
	failed.BytesPerSecond, failed.ETASeconds, failed.Misses, failed.Current = 0, nil, nil, ""
	stopped := Step(0.44, now)
	stopped.ID, stopped.CVD, stopped.Device, stopped.Phase = "st-sofie", "sofie.larsen", device(13), console.Stopped
	stopped.Message = "interrupted: the same command goes on"
	stopped.BytesPerSecond, stopped.ETASeconds, stopped.Misses, stopped.Current = 0, nil, nil, ""
	return []console.Stream{filling, early, waits, lost, native, failed, stopped}
}

func uploads(now time.Time) []console.Upload {
	return []console.Upload{
		{
			ID: "up-1", Device: device(3), CVD: "lena.hoffmann", Phase: console.Uploading, FilesDone: 121_204, BytesRead: 2_214 * mb,
			BytesSent: 148 * mb, BytesPerSecond: 84_000_000, Current: "home/lena/Projekte/Vermessung/2026-11/punktwolke-halle-4.las",
			Started: now.Add(-70 * time.Second), Updated: now,
		},
		{
			ID: "up-2", Device: device(8), CVD: "finance-02", Phase: console.Committing, FilesDone: 188_540, BytesRead: 41 * mb,
			BytesSent: 9 * mb, Started: now.Add(-12 * time.Second), Updated: now,
		},
	}
}

func misses(now time.Time) []console.Miss {
	return []console.Miss{
		{Path: "usr/lib/python3/dist-packages/numpy/core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so", Bytes: 3_190_000, WaitMS: 212, At: now.Add(-4 * time.Second)},
		{Path: "usr/share/icons/Adwaita/scalable/places/folder-symbolic.svg", Bytes: 2_140, WaitMS: 58, At: now.Add(-9 * time.Second)},
		{Path: "usr/bin/python3.11", Bytes: 6_831_000, WaitMS: 341, At: now.Add(-31 * time.Second)},
		{Path: "etc/ssl/openssl.cnf", Bytes: 12_300, WaitMS: 61, At: now.Add(-32 * time.Second)},
		{Path: "home/anna/.config/dconf/user", Bytes: 41_200, WaitMS: 64, At: now.Add(-55 * time.Second)},
	}
}

// wave is a rate that goes up and down as links do.
func wave(mean float64, seed int) []int64 {
	out := make([]int64, 60)
	for i := range out {
		x := float64(i + seed*17)
		out[i] = int64(mean * (0.82 + 0.16*math.Sin(x/5) + 0.11*math.Sin(x/1.7+2) + 0.05*math.Sin(x*2.9)))
	}
	return out
}

var people = []string{
	"anna.weber", "jonas.brandt", "lena.hoffmann", "mira.kowalski", "paul.richter", "kiosk-lobby", "lab-physics-03", "finance-02",
	"tomas.novak", "aylin.demir", "sofie.larsen", "marc.dubois", "lab-physics-01", "lab-physics-02", "reception-1", "design-05",
	"elif.yilmaz", "david.okafor", "ines.moreau", "karl.lindgren", "finance-01", "workshop-a", "workshop-b", "nina.rossi",
	"felix.baumann", "sara.haddad", "archive-scan", "hanna.virtanen",
}

var systems = []string{"Debian 12", "Debian 12", "Ubuntu 24.04", "Windows 11 23H2", "Debian 13"}

func device(i int) string {
	x := uint64(i+1) * 0xbf58476d1ce4e5b9
	return fmt.Sprintf("%04x-%04x-%04x-%04x", x>>48, x>>32&0xffff, x>>16&0xffff, x&0xffff)
}

func endpoints(now time.Time) []console.Endpoint {
	busy := map[int]string{2: "streaming anna.weber", 5: "streaming kiosk-lobby", 7: "waiting to pivot", 3: "centralizing lena.hoffmann", 8: "centralizing finance-02"}
	var all []console.Endpoint
	for i := range 38 {
		e := console.Endpoint{
			ID: device(i), Key: fmt.Sprintf("%x", sha256.Sum256([]byte(device(i)))), Name: fmt.Sprintf("PC-%04d", 2_101+i*13), Hostname: fmt.Sprintf("pc%d.example.org", 2_101+i*13),
			Address: fmt.Sprintf("10.20.%d.%d", 4+i/10, 20+i*7%200), OS: systems[i%len(systems)],
			State: console.Approved, Online: i%4 != 1, LastSeen: now.Add(-time.Duration(i%4) * 2 * time.Second), Activity: busy[i],
		}
		switch {
		case i == 0 || i == 1:
			e.State, e.Online, e.Name = console.Pending, false, ""
			e.LastSeen = now.Add(-time.Duration(i*6+1) * time.Minute)
		case i == 17:
			e.State, e.Online, e.LastSeen = console.Revoked, false, now.Add(-50*24*time.Hour)
		case !e.Online:
			e.LastSeen = now.Add(-time.Duration(i*i+3) * 21 * time.Minute)
		}
		all = append(all, e)
	}
	return all
}

func desktops(now time.Time) []console.Desktop {
	var all []console.Desktop
	for i, name := range people {
		snapshots := int64(12 + i*17%50)
		logical := int64(3_921+i*i*37%2_900) * mb
		unique := logical * int64(6+i*7%23) / 100
		all = append(all, console.Desktop{
			Name: name, Owner: device(2 + i), Snapshots: snapshots, LastSnapshot: now.Add(-time.Duration(i*i*3+47) * time.Minute),
			LogicalBytes: logical, StoredBytes: logical * 44 / 100, UniqueBytes: unique,
			SavedBytes: logical*snapshots - unique, SavedShare: 1 - float64(unique)/float64(logical*snapshots)*4,
		})
	}
	return all
}
