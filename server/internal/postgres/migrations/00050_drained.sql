-- +goose Up

-- A volume that is drained takes no new packs; what lies on it is read as before.
alter table volumes add column drained boolean not null default false;

-- +goose Down
alter table volumes drop column drained;
