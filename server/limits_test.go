package server

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// The most specific limit that holds counts, alone.
func TestChoose(t *testing.T) {
	const everyday = 1<<7 - 1
	subnet := netip.MustParsePrefix
	all := []postgres.Limit{
		{ID: 1, Days: everyday, Download: 100},
		{ID: 2, Days: everyday, Download: 10, Begins: 8 * time.Hour, Ends: 18 * time.Hour},
		{ID: 3, Days: everyday, Download: 300, Subnet: subnet("10.0.0.0/8")},
		{ID: 4, Days: everyday, Download: 200, Subnet: subnet("10.7.0.0/16")},
		{ID: 5, Days: 1 << time.Friday, Download: 5, DeviceID: 7, Begins: 22 * time.Hour, Ends: 6 * time.Hour},
		{ID: 6, Days: everyday, Download: 0, DeviceID: 9},
		{ID: 7, Days: everyday, Download: 50, Subnet: subnet("2001:db8::/32")},
	}
	friday := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		device int64
		addr   string
		at     time.Duration // since the beginning of a Friday
		want   int64
	}{
		{1, "192.0.2.1", 7 * time.Hour, 1},
		{1, "192.0.2.1", 8 * time.Hour, 2},
		{1, "192.0.2.1", 18 * time.Hour, 1},
		{1, "", 12 * time.Hour, 2},
		{1, "10.1.0.1", 12 * time.Hour, 3},
		{1, "10.7.0.1", 12 * time.Hour, 4},
		{1, "::ffff:10.7.0.1", 12 * time.Hour, 4},
		{1, "2001:db8::1", 12 * time.Hour, 7},
		{7, "10.7.0.1", 3 * time.Hour, 4}, // it began on Thursday, which has none
		{7, "10.7.0.1", 23 * time.Hour, 5},
		{7, "10.7.0.1", 27 * time.Hour, 5},
		{7, "10.7.0.1", 30 * time.Hour, 4},
		{9, "10.7.0.1", 12 * time.Hour, 6}, // set free
	} {
		addr, _ := netip.ParseAddr(c.addr)
		zone := time.FixedZone("elsewhere", 5*3600)
		if got := choose(all, c.device, addr, friday.Add(c.at).In(zone)); got.ID != c.want {
			t.Errorf("device %d at %s, %v: limit %d, want %d", c.device, c.addr, c.at, got.ID, c.want)
		}
	}
	if got := choose(nil, 1, netip.Addr{}, friday); got.ID != 0 {
		t.Errorf("limit %d of none", got.ID)
	}
}

// What an admin sets comes back as it was set.
func TestLimitRows(t *testing.T) {
	for _, l := range []Limit{
		{Device: "laptop", Download: limitMin, Days: days},
		{Subnet: "10.7.0.0/16", Days: []string{"mon", "fri"}, From: "22:30", To: "06:00", Download: demandMin, Upload: limitMin, Demand: true},
	} {
		row, err := l.row()
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(row); got.Device != l.Device || got.Subnet != l.Subnet || got.From != l.From || got.To != l.To ||
			len(got.Days) != len(l.Days) || got.Download != l.Download || got.Upload != l.Upload || got.Demand != l.Demand {
			t.Errorf("%+v came back as %+v", l, got)
		}
	}
}

// A limit under which nothing would come is refused; none at all is not.
func TestLimitTooLow(t *testing.T) {
	for _, l := range []Limit{
		{Download: -1}, {Download: 1}, {Download: limitMin - 1}, {Upload: limitMin - 1}, {Download: demandMin - 1, Demand: true},
	} {
		if _, err := l.row(); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, l := range []Limit{{}, {Demand: true}, {Download: limitMin, Upload: limitMin}, {Download: demandMin, Upload: limitMin, Demand: true}} {
		if _, err := l.row(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
