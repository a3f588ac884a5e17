-- +goose Up

-- A place for packs. The id is in a file on it.
create table volumes (
    id    integer     generated always as identity primary key,
    uuid  bytea       not null unique,
    url   text        not null,
    added timestamptz not null default now()
);

-- The collector's sequence: it grows whenever packs are condemned. Every commit holds this row in share, every
-- condemning and every deleting alone, so that neither happens within the other.
create table collector (
    one boolean primary key default true check (one),
    seq bigint  not null default 1
);
insert into collector default values;

-- An upload session. A pack or a chunk that it uploaded, proved or was told to be present stays while it is open,
-- and a pack that was condemned after it began stays too: began_seq is the collector's sequence then.
create table sessions (
    id          bigint      generated always as identity primary key,
    token       bytea       not null unique,              -- its name outside
    device_id   bigint      not null references devices on delete cascade,
    cvd_id      bigint      not null references cvds on delete cascade,
    secret      bytea       not null,                     -- what challenges are derived from
    state       smallint    not null default 0 check (state between 0 and 3), -- 0 open, 1 committed, 2 abandoned, 3 expired
    began       timestamptz not null default now(),
    began_seq   bigint      not null,
    lease_until timestamptz not null,
    snapshot    bytea                                     -- what it committed
);
create index sessions_open on sessions (lease_until) where state = 0;
create index sessions_device on sessions (device_id);
create index sessions_cvd on sessions (cvd_id);

-- What a session uploaded or proved: sets of chunk serials (roaring, 64 bits), to be united.
create table session_sets (
    session_id bigint not null references sessions on delete cascade,
    serials    bytea  not null
);
create index session_sets_session on session_sets (session_id);

-- A pack is written while its session is open; live once its chunks are in the index; condemned when the collector
-- found nothing in it that is needed; doomed when its file may be removed, after which the row goes.
create table packs (
    id         integer  generated always as identity primary key,
    volume_id  integer  not null references volumes,
    name       bytea    not null unique,
    state      smallint not null default 0 check (state between 0 and 3), -- 0 writing, 1 live, 2 condemned, 3 doomed
    session_id bigint,                                    -- while writing
    condemned  bigint,                                    -- the collector's sequence then
    chunks     integer  not null default 0,
    bytes      bigint   not null default 0
);
create index packs_unsettled on packs (state) where state <> 1;

-- Where a chunk lies. There are as many rows as chunks, so they are kept small: the id is two halves of the one type of
-- 16 bytes that Postgres has, and only the first is indexed (a second chunk with the same first half would take 2^64
-- attempts to make, and is refused); there is no foreign key because its trigger would cost more than the row; and a
-- damaged chunk, which is answered as missing so that an upload heals it, has the complement (~) of its length in
-- plain_len, which is negative. A serial is never used twice.
create sequence chunk_serials;
create table chunks (
    serial    bigint  not null,
    pack_id   integer not null,
    pack_off  integer not null,                           -- of the record in the pack
    frame_len integer not null,
    plain_len integer not null,
    id_a      uuid    primary key,                        -- the first half of the id
    id_b      uuid    not null                            -- the second
);
create index chunks_pack on chunks (pack_id);
create index chunks_damaged on chunks (serial) where plain_len < 0;

-- Files above 128 KiB as committed trees have them. cvd_id is whose commit said so: only to that CVD is it a fact,
-- to others a hint, because nobody has hashed the whole file on the server.
create table files (
    id      bytea  primary key,
    cvd_id  bigint not null,
    content bytea  not null,                              -- size and content as in a tree entry
    serials bytea  not null                               -- the set of its chunks
);

create table snapshots (
    seq        bigint      generated always as identity primary key,
    id         bytea       not null unique,
    cvd_id     bigint      not null references cvds on delete cascade,
    root       bytea       not null,
    parent     bytea,
    device     text        not null,
    host       text        not null default '',
    taken      timestamptz not null,
    committed  timestamptz not null default now(),
    files      bigint      not null,
    dirs       bigint      not null,
    bytes      bigint      not null,
    unreadable bigint      not null default 0,
    stored     bigint      not null,                      -- bytes of the frames of its chunks, each once
    serials    bytea       not null                       -- the set of its chunks
);
create index snapshots_cvd on snapshots (cvd_id, seq);

-- +goose Down
drop table snapshots, files, chunks, packs, session_sets, sessions, collector, volumes;
drop sequence chunk_serials;
