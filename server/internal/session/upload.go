package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// sealTime is how long an upload may take to become durable after its last byte, even if the sender is gone.
const sealTime = 2 * time.Minute

// Upload takes frame records up to the end of body. When it returns without
// error, everything in them is durable and in the index. On an error, what came
// whole before it counts as well, unless storing it is what failed.
// length is the body's in bytes, or -1 if it is unknown.
func (s *Service) Upload(ctx context.Context, device int64, id string, body io.Reader, length int64) (wire.UploadReply, error) {
	leave, err := s.uploads.enterSoon(ctx, device, placeTime)
	if err != nil {
		return wire.UploadReply{}, err
	}
	defer leave()
	sess, err := s.use(ctx, device, id)
	if err != nil {
		drain(body)
		return wire.UploadReply{}, err
	}
	u := &upload{s: s, sess: sess, ctx: context.WithoutCancel(ctx), length: length, renewed: time.Now()}
	defer u.abort()
	err = sis.Receive(ctx, body, u.add)
	var bad *sis.BadFrame
	if errors.As(err, &bad) {
		s.stats.badFrames.Add(1)
	}
	if u.failed != nil {
		return u.reply, u.failed
	}
	if lost := u.seal(); lost != nil {
		return u.reply, lost
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: the upload broke off; what came whole is kept: %w", wire.ErrInvalid, err)
	}
	return u.reply, err
}

// drain reads the rest of a refused upload, so that its sender gets to hear why.
func drain(body io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(body, 2*wire.PackMax)) }

// upload is one request under way. One that holds very many chunks becomes more than one pack.
type upload struct {
	s       *Service
	sess    *postgres.Session
	ctx     context.Context
	length  int64
	renewed time.Time

	w      *sis.Writer
	pack   postgres.Pack
	sealed bool
	reply  wire.UploadReply
	failed error // of storing
}

func (u *upload) add(slab *sis.Slab) error {
	u.failed = u.store(slab)
	return u.failed
}

func (u *upload) store(slab *sis.Slab) error {
	if u.w != nil && !u.w.Room(slab) {
		if err := u.seal(); err != nil {
			return err
		}
	}
	if u.w == nil {
		if err := u.open(); err != nil {
			return err
		}
	}
	if time.Since(u.renewed) > u.s.opts.Lease/4 {
		if err := u.s.db.RenewSession(u.ctx, u.sess); err != nil {
			return err
		}
		u.renewed = time.Now()
	}
	if err := u.w.Append(slab); err != nil {
		return trouble(u.w.Volume, err)
	}
	return nil
}

func (u *upload) open() error {
	vol, err := u.begin()
	if errors.Is(err, wire.ErrNotFound) { // another server was told to put no more there
		if err = u.s.volumes.reload(u.ctx); err == nil {
			vol, err = u.begin()
		}
	}
	if err != nil {
		return err
	}
	name := u.pack.Name
	u.sealed = false
	if u.w, err = sis.NewWriter(vol, u.sess.Token.String(), name); err != nil {
		u.drop()
		return trouble(vol, err)
	}
	return nil
}

// begin notes a new pack on the volume that has the most room.
func (u *upload) begin() (sis.Volume, error) {
	id, vol, err := u.s.volumes.pick(u.ctx, max(u.length, 1<<20))
	if err == nil {
		u.pack, err = u.s.db.BeginPack(u.ctx, u.sess.ID, id, sis.NewName())
	}
	return vol, err
}

// seal makes what was added count: first the pack, then the index.
func (u *upload) seal() error {
	if u.w == nil || u.w.Len() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(u.ctx, sealTime)
	defer cancel()
	u.sealed = true // from here on only the sweeper may remove it: it may be there, and the index may know it
	entries, err := u.w.Seal()
	if err != nil {
		return trouble(u.w.Volume, err)
	}
	serials, err := u.s.db.IndexPack(ctx, u.sess, u.pack, u.w.Size(), entries, setOf)
	if err != nil {
		return err
	}
	u.count(entries, serials)
	u.w = nil
	return nil
}

func (u *upload) count(entries []sis.Entry, serials []uint64) {
	st := &u.s.stats
	st.packs.Add(1)
	st.uploadedChunks.Add(uint64(len(entries)))
	st.uploadedBytes.Add(uint64(u.w.Frames()))
	u.reply.Chunks += len(entries)
	u.reply.Bytes += u.w.Frames()
	u.s.where.putEntries(u.pack.ID, entries, serials)
}

// abort drops what was not sealed.
func (u *upload) abort() {
	if u.w == nil || u.sealed {
		return
	}
	u.w.Abort()
	u.drop()
}

func (u *upload) drop() {
	if err := u.s.db.DropPack(u.ctx, u.pack.ID); err != nil {
		u.s.opts.Log.Warn("a pack that was not written stays noted until its session ends", "pack", u.pack.Name, "error", err)
	}
}
