package session

import (
	"testing"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
)

// lateVolume has an upload wake up right after its pack was deleted.
type lateVolume struct {
	sis.Volume
	file sis.PackFile
	late error
}

func (v *lateVolume) Delete(name sis.PackName) error {
	err := v.Volume.Delete(name)
	v.late = v.file.Commit()
	return err
}

// An upload that outlives its session puts no pack where the sweeper has removed it and nobody knows it any more.
func TestSweepBeforeLateUpload(t *testing.T) {
	w := newWorld(t, Options{})
	session := w.begin(t, 1, "desk")
	token, err := postgres.ParseToken(session)
	must(t, err)
	sess, err := w.db.UseSession(t.Context(), token, 1, w.opts.Lease)
	must(t, err)
	id, vol, err := w.volumes.pick(t.Context(), 1)
	must(t, err)
	name := sis.NewName()
	_, err = w.db.BeginPack(t.Context(), sess.ID, id, name)
	must(t, err)
	late := &lateVolume{Volume: vol}
	late.file, err = vol.Create(session, name)
	must(t, err)
	w.volumes.known[id].vol = late
	must(t, w.Abandon(t.Context(), 1, session))
	must(t, w.Sweep(t.Context()))
	if packs := w.packsOf(t); late.late == nil || len(packs) != 0 {
		t.Errorf("the late upload got %v, and %v lies there", late.late, packs)
	}
}
