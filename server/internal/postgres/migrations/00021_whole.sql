-- +goose Up

-- False for a snapshot whose set lacks chunks, because a rebuild did not find them: such a set answers no commit.
alter table snapshots add column whole boolean not null default true;

-- +goose Down
alter table snapshots drop column whole;
