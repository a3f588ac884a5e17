-- +goose Up

-- A device is an endpoint that asked in. Its certificates are in another table: what counts is the state here.
create table devices (
    id          bigserial   primary key,
    name        text        not null unique,
    host        text        not null default '',
    os          text        not null default '',
    fingerprint bytea       not null unique,          -- SHA-256 of the public key
    state       text        not null default 'pending' check (state in ('pending', 'approved', 'revoked')),
    created     timestamptz not null default now(),
    approved_at timestamptz,
    approved_by text,                                 -- an admin, or token:ID
    last_seen   timestamptz,
    address     text        not null default ''
);
create index devices_state on devices (state);

-- An enrolment token approves whoever shows it. Only its SHA-256 is kept.
create table enrol_tokens (
    id      bigserial   primary key,
    hash    bytea       not null unique,
    uses    int         not null check (uses >= 0),   -- left
    created timestamptz not null default now(),
    creator text        not null,
    expires timestamptz not null
);

-- A certificate that is not here is not accepted, whoever signed it.
create table certificates (
    serial      bytea       primary key,
    device_id   bigint      not null references devices on delete cascade,
    fingerprint bytea       not null,                 -- of its public key
    pem         text        not null,
    not_after   timestamptz not null,
    created     timestamptz not null default now()
);
create index certificates_device on certificates (device_id);

-- A desktop belongs to the device that made it first, and outlives it.
create table cvds (
    id        bigserial   primary key,
    name      text        not null unique,
    device_id bigint      references devices on delete set null,
    created   timestamptz not null default now(),
    tally     bytea
);
create index cvds_device on cvds (device_id);

-- An assigned device reads a desktop that is not its own.
create table assignments (
    cvd_id    bigint      not null references cvds on delete cascade,
    device_id bigint      not null references devices on delete cascade,
    created   timestamptz not null default now(),
    creator   text        not null,
    primary key (cvd_id, device_id)
);
create index assignments_device on assignments (device_id);

create table admins (
    name    text        primary key,
    hash    text        not null,                     -- argon2id, in its usual notation
    created timestamptz not null default now()
);

-- What an admin's browser, or a program, shows. Only SHA-256 is kept.
create table admin_sessions (
    hash    bytea       primary key,
    admin   text        not null references admins on update cascade on delete cascade,
    kind    text        not null check (kind in ('session', 'token')),
    created timestamptz not null default now(),
    expires timestamptz                               -- null: until removed
);
create index admin_sessions_admin on admin_sessions (admin);

-- Who did what, and who was refused.
create table audit (
    id      bigserial   primary key,
    at      timestamptz not null default now(),
    who     text        not null,                     -- admin:NAME, device:NAME, or what a stranger claims to be
    address text        not null default '',
    what    text        not null,
    subject text        not null default '',
    outcome text        not null check (outcome in ('done', 'refused')),
    reason  text        not null default ''
);
create index audit_at on audit (at);

-- What an endpoint last said about its work. Unlogged: after a crash it says it again.
create unlogged table progress (
    device_id bigint      not null references devices on delete cascade,
    kind      text        not null check (kind in ('stream', 'snapshot')),
    target    text        not null default '',
    doc       jsonb       not null,
    updated   timestamptz not null default now(),
    primary key (device_id, kind, target)
);

-- What all servers must share and nobody else may read. The CA's private key is here, in the clear, because servers
-- are stateless: whoever can read this database can already name every desktop's chunks, and a certificate that is
-- not in the table above is refused even with a good signature.
create table secrets (
    name  text  primary key,
    value bytea not null
);

create table settings (
    name  text  primary key,
    value jsonb not null
);

-- +goose Down
drop table settings, secrets, progress, audit, admin_sessions, admins, assignments, cvds, certificates, enrol_tokens, devices;
