DROP INDEX audit_log_entity_id;
DROP INDEX audit_log_entity;
CREATE INDEX audit_log_entity ON audit_log (entity, entity_id, id DESC);
