-- What happened to one thing is read by its id alone: ids of different kinds seldom are the same.
DROP INDEX audit_log_entity;
CREATE INDEX audit_log_entity ON audit_log (entity, id DESC);
CREATE INDEX audit_log_entity_id ON audit_log (entity_id, id DESC);
