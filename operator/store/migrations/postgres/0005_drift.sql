-- A hint that somebody else's hand was at the catalog: the name of the environment on channel `sower_drift`, or nothing where all
-- of them may be meant. Nothing depends on it. Sower's own transactions set `sower.seeding` and are skipped before a function is
-- called. What a transaction has set is an empty text when it is over.

-- Whoever may write a row may send the hint: no table is read, and whatever goes wrong here is nobody's failure. A transaction
-- says it once of each environment, as far as it stays with one: `sower.hinted` is the last that it named.
CREATE FUNCTION sower.drift_hint() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $$
DECLARE
  said text := pg_catalog.current_setting('sower.hinted', true);
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF said = NEW.environment THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    IF said = NEW.environment AND said = OLD.environment THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF said = OLD.environment THEN RETURN NULL; END IF;
  END IF;
  BEGIN
    IF TG_OP = 'TRUNCATE' THEN
      PERFORM pg_catalog.pg_notify('sower_drift', '');
    ELSIF TG_OP = 'DELETE' THEN
      PERFORM pg_catalog.pg_notify('sower_drift', OLD.environment);
      PERFORM pg_catalog.set_config('sower.hinted', OLD.environment, true);
    ELSE
      PERFORM pg_catalog.pg_notify('sower_drift', NEW.environment);
      IF TG_OP = 'UPDATE' AND OLD.environment <> NEW.environment THEN
        PERFORM pg_catalog.pg_notify('sower_drift', OLD.environment);
      END IF;
      PERFORM pg_catalog.set_config('sower.hinted', NEW.environment, true);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN NULL;
END
$$;

CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON integration_definitions FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON integration_definitions FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON action_registry FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON action_registry FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON trigger_registry FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON trigger_registry FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON connection_registry FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON connection_registry FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON event_registry FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON event_registry FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
