package odd

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func (m *maker) chmod(name string, mode uint32) {
	m.check(name, unix.Chmod(m.path(name), mode))
}

func (m *maker) modes() {
	for _, mode := range []uint32{0, 0o111, 0o200, 0o400, 0o644, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777, 0o4000} {
		m.chmod(m.write(fmt.Sprintf("modes/file-%04o", mode), []byte("mode")), mode)
		m.chmod(m.mkdir(fmt.Sprintf("modes/dir-%04o", mode), 0o700), mode)
	}
	// what nobody but root can list is full all the same
	m.write("modes/locked/inside/file", []byte("locked"))
	m.chmod("modes/locked/inside", 0)
	m.chmod("modes/locked", 0)
}

// owners are known and unknown to the system. A chown drops setuid, so the
// mode comes after it.
func (m *maker) owners() {
	for _, o := range []struct{ uid, gid int }{{1000, 1000}, {0, 1000}, {65534, 65534}, {33, 0}, {2_000_000_000, 2_000_000_001}, {1<<32 - 2, 1<<32 - 2}} {
		name := fmt.Sprintf("owners/%d-%d", o.uid, o.gid)
		m.write(name, []byte("owned"))
		m.check(name, os.Lchown(m.path(name), o.uid, o.gid))
		m.chmod(name, 0o4750)
		dir := m.mkdir(name+"-dir", 0o2770)
		m.check(dir, os.Lchown(m.path(dir), o.uid, o.gid))
		link := name + "-link"
		m.check(link, os.Symlink("nowhere", m.path(link)))
		m.check(link, os.Lchown(m.path(link), o.uid, o.gid))
	}
}

func (m *maker) xattr(name, key string, value []byte) {
	m.check(name+" "+key, unix.Lsetxattr(m.path(name), key, value, 0))
}

func (m *maker) attributes() {
	name := m.write("xattrs/user", []byte("attributes"))
	m.xattr(name, "user.text", []byte("a value"))
	m.xattr(name, "user.empty", nil)
	m.xattr(name, "user.binary", []byte{0, 1, 0xff, 0, '\n', 0})
	m.xattr(name, "user.with space = and\n", []byte("odd key"))
	m.xattr(name, "user.caf\xe9", []byte("not UTF-8"))
	m.xattr(m.write("xattrs/large", nil), "user.large", m.noise(3000))
	m.xattr(m.write("xattrs/trusted", nil), "trusted.looming-test", []byte("for root alone"))
	many := m.write("xattrs/many", nil)
	for i := range 60 {
		m.xattr(many, fmt.Sprintf("user.n%02d", i), []byte{byte(i)})
	}
	m.xattr(m.mkdir("xattrs/dir", 0o755), "user.on-a-directory", []byte("x"))
	m.check("xattrs/link", os.Symlink("user", m.path("xattrs/link")))
	m.xattr("xattrs/link", "trusted.on-a-link", []byte("x"))

	// cap_net_raw and cap_net_bind_service, effective: VFS_CAP_REVISION_2
	capabilities := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	for _, word := range []uint32{1<<13 | 1<<10, 0, 0, 0} {
		capabilities = binary.LittleEndian.AppendUint32(capabilities, word)
	}
	name = m.write("xattrs/capable", []byte("#!/bin/sh\n"))
	m.chmod(name, 0o755)
	m.xattr(name, "security.capability", capabilities)
}

// The tags of POSIX ACL entries, as in linux/posix_acl_xattr.h.
const (
	aclUserObject  = 0x01
	aclUser        = 0x02
	aclGroupObject = 0x04
	aclGroup       = 0x08
	aclMask        = 0x10
	aclOther       = 0x20
	aclNobody      = 1<<32 - 1
)

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// acl encodes entries as the kernel keeps them.
func acl(entries ...aclEntry) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

func (m *maker) acls() {
	list := acl(
		aclEntry{aclUserObject, 7, aclNobody},
		aclEntry{aclUser, 6, 1000},
		aclEntry{aclUser, 4, 2_000_000_000},
		aclEntry{aclGroupObject, 5, aclNobody},
		aclEntry{aclGroup, 7, 33},
		aclEntry{aclMask, 6, aclNobody},
		aclEntry{aclOther, 0, aclNobody},
	)
	m.xattr(m.write("acls/file", []byte("acl")), "system.posix_acl_access", list)
	dir := m.mkdir("acls/dir", 0o755)
	m.xattr(dir, "system.posix_acl_access", list)
	m.xattr(dir, "system.posix_acl_default", list)
	// these inherit
	m.write("acls/dir/heir", []byte("acl"))
	m.mkdir("acls/dir/heir-dir", 0o750)
}
