package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/looming-project/looming/vfs/wire"
)

// The cost of a password: OWASP's second choice for argon2id, 19 MiB and two passes.
const (
	costMemory = 19 << 10 // KiB
	costTime   = 2
	costLanes  = 1
	saltSize   = 16
	hashSize   = 32
)

// The lengths of a password in bytes.
const (
	minPassword = 10
	maxPassword = 1024
)

// hashers bounds how much memory logins take: each place is 19 MiB.
type hashers chan struct{}

func newHashers() hashers { return make(hashers, 2) }

func (h hashers) with(ctx context.Context, fn func()) error {
	select {
	case h <- struct{}{}:
		defer func() { <-h }()
		fn()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hash is the argon2id of a password in its usual notation.
func hash(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("%w: a password has %d to %d bytes", wire.ErrInvalid, minPassword, maxPassword)
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	sum := argon2.IDKey([]byte(password), salt, costTime, costMemory, costLanes, hashSize)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, costMemory, costTime, costLanes,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

var errHash = errors.New("the stored password hash is damaged: set the password again")

// matches says whether a password has the hash. Hashes of other costs stay good.
func matches(stored, password string) (bool, error) {
	var version int
	var memory, passes uint32
	var lanes uint8
	part := strings.Split(stored, "$") // "", argon2id, v=, m=,t=,p=, salt, hash
	if len(part) != 6 || part[1] != "argon2id" {
		return false, errHash
	}
	if _, err := fmt.Sscanf(part[2]+" "+part[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil ||
		version != argon2.Version || passes == 0 || lanes == 0 || memory > 1<<20 {
		return false, errHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	want, err2 := base64.RawStdEncoding.DecodeString(part[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// nobody is a hash that no password has. Names that do not exist cost as much as wrong passwords.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
