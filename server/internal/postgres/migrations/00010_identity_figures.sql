-- +goose Up

-- What desktops and snapshots cost, for people to read: worked out now and then from the sets of chunks, by whichever
-- server has the advisory lock.
create table desktop_figures (
    cvd_id      bigint      primary key references cvds on delete cascade,
    logical     bigint      not null,                 -- the latest snapshot, as files
    all_logical bigint      not null,                 -- all its snapshots as files
    stored      bigint      not null,                 -- frames of all its snapshots, shared ones counted whole
    exclusive   bigint      not null,                 -- of those, what no other desktop uses
    updated     timestamptz not null default now()
);

create table snapshot_figures (
    id    bytea  primary key references snapshots (id) on delete cascade,
    added bigint not null                             -- frames that no snapshot before it had
);

-- +goose Down
drop table snapshot_figures, desktop_figures;
