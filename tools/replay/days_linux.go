package main

// day is what somebody does in a session: commands with the desktop as their root.
type day struct {
	name string
	work []string
}

// The days are alike, as days are: the same programs in another order, some with
// other files, and a few things that are done on one of them only.
var days = []day{
	{"day1", []string{
		`bash -lc "id; ls -l /etc /usr/bin | sort | uniq -c | tail"`,
		`sed -n 1,200p /home/user/mail/Inbox; grep -c "^From " /home/user/mail/Inbox || true`,
		`python3 -c "import json, ssl, sqlite3, email.mime.text, urllib.request, xml.etree.ElementTree, asyncio, decimal"`,
		`mkdir repo && cd repo && cp /etc/*.conf . && git init -q . && git add . && git -c user.name=u -c user.email=e commit -qm m && git log --stat && git status`,
		`printf "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"HOME\")); }\n" >a.c && gcc -O1 -o a a.c && ./a`,
		`man ls | head -50`,
		`vim -es -u NONE -c q; vim -T dumb -c q /etc/passwd </dev/null`,
		`firefox --version`,
		`timeout 200 firefox --headless --no-remote --profile /tmp/profile --screenshot /tmp/page.png file:///etc/hosts`,
		`cp /usr/share/common-licenses/GPL-3 text.txt && timeout 200 soffice --headless --convert-to pdf text.txt`,
		`find /usr/share/applications -name "*.desktop" | xargs grep -h ^Exec | sort | head`,
	}},
	{"day2", []string{
		`bash -lc "id; ls -l /etc /home | tail; du -s /etc"`,
		`firefox --version`,
		`timeout 200 firefox --headless --no-remote --profile /tmp/profile --screenshot /tmp/page.png file:///usr/share/doc/nano/faq.html`,
		`grep -c ^Subject: /home/user/mail/Inbox; tail -c 100000 /home/user/mail/Inbox`,
		`mkdir repo && cd repo && cp /usr/share/doc/git/README* /etc/*.conf . && git init -q . && git add . && git -c user.name=u -c user.email=e commit -qm m && git diff --stat HEAD; git gc -q`,
		`vim -es -u NONE -c q; vim -T dumb -c q /etc/fstab </dev/null`,
		`printf "#include <math.h>\n#include <stdio.h>\n#include <string.h>\nint main(void) { printf(\"%%f %%zu\", sin(1), strlen(\"x\")); }\n" >b.c && gcc -O2 -o b b.c -lm && ./b`,
		`python3 -c "import json, sqlite3, csv, argparse, subprocess, logging, http.server, zipfile, asyncio"`,
		`man tar | head -50`,
		`cp /usr/share/common-licenses/LGPL-3 text.txt && timeout 200 soffice --headless --convert-to html text.txt`,
		`perl -MData::Dumper -MPOSIX -e "print Dumper(POSIX::uname())"`,
	}},
}

// session has the desktop at $1 as its root and does what follows, each in its
// turn. A step that fails is said, and the next one is done: what it used was used.
const session = `
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/tmp" && mount -t tmpfs tmpfs "$1/run" || exit 1
mkdir "$1/tmp/profile"
root=$1; shift
for step; do
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 PAGER=cat MOZ_DISABLE_CONTENT_SANDBOX=1 MOZ_DISABLE_GMP_SANDBOX=1 \
		chroot "$root" /bin/sh -c "cd /tmp; $step" >/dev/null 2>&1 </dev/null || echo "failed: $step" >&2
done`
