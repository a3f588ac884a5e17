-- +goose Up

-- What each device learnt about the use of a desktop. A device's row outlives it: whoever has the desktop next learns from it.
create table tallies (
    cvd_id    bigint not null references cvds (id) on delete cascade,
    device_id bigint references devices (id) on delete set null,
    updated   timestamptz not null default clock_timestamp(),
    tally     bytea not null
);
create unique index tallies_of on tallies (cvd_id, device_id);
create index tallies_of_device on tallies (device_id);

insert into tallies (cvd_id, device_id, tally) select id, device_id, tally from cvds where length(tally) > 0;
alter table cvds drop column tally;

-- +goose Down
alter table cvds add column tally bytea;
update cvds c set tally = (select tally from tallies t where t.cvd_id = c.id order by updated desc limit 1);
drop table tallies;
