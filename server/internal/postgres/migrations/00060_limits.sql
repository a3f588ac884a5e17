-- +goose Up

-- How many bytes a second devices may have: of one device, of a network, or of all, on some days and hours. The most
-- specific that holds counts.
create table limits (
    id        bigserial primary key,
    device_id bigint    references devices on delete cascade,
    subnet    cidr,                                     -- both null: everybody
    days      smallint  not null default 127 check (days between 1 and 127), -- bit 0 is Sunday
    begins    smallint  not null default 0 check (begins between 0 and 1439), -- minute of the day, UTC
    ends      smallint  not null default 0 check (ends between 0 and 1439),   -- not after begins: on the next day
    download  bigint    not null check (download >= 0), -- bytes a second; 0 is no limit
    upload    bigint    not null check (upload >= 0),
    demand    boolean   not null default false,         -- it holds for what somebody waits for, too
    check (device_id is null or subnet is null),
    unique nulls not distinct (device_id, subnet, days, begins, ends)
);

-- +goose Down
drop table limits;
