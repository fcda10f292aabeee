-- google-adk 2.13.0, google-genai 2.34.0
BEGIN TRANSACTION;
CREATE TABLE adk_internal_metadata (
	"key" VARCHAR(128) NOT NULL, 
	value VARCHAR(256) NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "adk_internal_metadata" VALUES('schema_version','1');
CREATE TABLE app_states (
	app_name VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name)
);
INSERT INTO "app_states" VALUES('forecast','{"version": 3}','2026-11-28 21:02:26');
CREATE TABLE events (
	id VARCHAR(128) NOT NULL, 
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	session_id VARCHAR(128) NOT NULL, 
	invocation_id VARCHAR(256) NOT NULL, 
	timestamp DATETIME NOT NULL, 
	event_data TEXT, 
	PRIMARY KEY (id, app_name, user_id, session_id), 
	FOREIGN KEY(app_name, user_id, session_id) REFERENCES sessions (app_name, user_id, id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES('4584789d-48a7-452b-aaf5-67d5af43de22','forecast','ada','s-1','e-5664d112-b267-435c-9685-70e6371e1e92','2026-11-28 21:02:36.319868','{"content": {"parts": [{"text": "The weather in Z\u00fcrich and \u6a4b\u672c?"}], "role": "user"}, "invocation_id": "e-5664d112-b267-435c-9685-70e6371e1e92", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "4584789d-48a7-452b-aaf5-67d5af43de22", "timestamp": 1795899756.3198683}');
INSERT INTO "events" VALUES('21e485db-6a9a-4717-91d4-af303258e994','forecast','ada','s-1','e-5664d112-b267-435c-9685-70e6371e1e92','2026-11-28 21:02:38.083771','{"content": {"parts": [{"text": "Two cities.", "thought": true, "thought_signature": "c2lnbmVk"}, {"function_call": {"id": "adk-46a5651c-c74d-48b9-b20c-48f947fbd0f7", "args": {"city": "Z\u00fcrich"}, "name": "weather"}}, {"function_call": {"id": "adk-a4f8dc61-7c9c-4d82-8f00-d24e38e33aab", "args": {"city": "\u6a4b\u672c"}, "name": "weather"}}], "role": "model"}, "usage_metadata": {"cached_content_token_count": 2, "candidates_token_count": 4, "prompt_token_count": 21, "total_token_count": 25}, "invocation_id": "e-5664d112-b267-435c-9685-70e6371e1e92", "author": "weatherman", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": "weatherman@1"}, "long_running_tool_ids": [], "id": "21e485db-6a9a-4717-91d4-af303258e994", "timestamp": 1795899758.0837715}');
INSERT INTO "events" VALUES('ed7ecf7d-d1e8-4ab1-a447-86a5bb6525d9','forecast','ada','s-1','e-5664d112-b267-435c-9685-70e6371e1e92','2026-11-28 21:02:38.438367','{"content": {"parts": [{"function_response": {"id": "adk-46a5651c-c74d-48b9-b20c-48f947fbd0f7", "name": "weather", "response": {"city": "Z\u00fcrich", "degrees": 21}}}, {"function_response": {"id": "adk-a4f8dc61-7c9c-4d82-8f00-d24e38e33aab", "name": "weather", "response": {"city": "\u6a4b\u672c", "degrees": 21}}}], "role": "user"}, "invocation_id": "e-5664d112-b267-435c-9685-70e6371e1e92", "author": "weatherman", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": "weatherman@1"}, "id": "ed7ecf7d-d1e8-4ab1-a447-86a5bb6525d9", "timestamp": 1795899758.4383671}');
INSERT INTO "events" VALUES('22ec8269-bf28-4726-8b28-9221f3da14cd','forecast','ada','s-1','e-5664d112-b267-435c-9685-70e6371e1e92','2026-11-28 21:02:38.593596','{"content": {"parts": [{"text": "Both 21 \u00b0C."}], "role": "model"}, "usage_metadata": {"cached_content_token_count": 2, "candidates_token_count": 4, "prompt_token_count": 21, "total_token_count": 25}, "invocation_id": "e-5664d112-b267-435c-9685-70e6371e1e92", "author": "weatherman", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": "weatherman@1"}, "id": "22ec8269-bf28-4726-8b28-9221f3da14cd", "timestamp": 1795899758.5935955}');
INSERT INTO "events" VALUES('74d0cb94-d343-41da-b8ad-d3e54356269b','forecast','ada','s-1','e-9dbb3e83-cd12-4f14-8072-acb4fdaeeae9','2026-11-28 21:02:38.758583','{"content": {"parts": [{"text": "What is it?"}, {"inline_data": {"data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk-M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "mime_type": "image/png"}}], "role": "user"}, "invocation_id": "e-9dbb3e83-cd12-4f14-8072-acb4fdaeeae9", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "74d0cb94-d343-41da-b8ad-d3e54356269b", "timestamp": 1795899758.7585833}');
INSERT INTO "events" VALUES('7d42819f-25d1-4f4e-87ff-ba927d593230','forecast','ada','s-1','e-9dbb3e83-cd12-4f14-8072-acb4fdaeeae9','2026-11-28 21:02:38.954662','{"content": {"parts": [{"text": "A pixel."}], "role": "model"}, "usage_metadata": {"cached_content_token_count": 2, "candidates_token_count": 4, "prompt_token_count": 21, "total_token_count": 25}, "invocation_id": "e-9dbb3e83-cd12-4f14-8072-acb4fdaeeae9", "author": "weatherman", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": "weatherman@1"}, "id": "7d42819f-25d1-4f4e-87ff-ba927d593230", "timestamp": 1795899758.954662}');
INSERT INTO "events" VALUES('accf8cec-3e47-4e7e-b114-812804462a84','forecast','grace','s-1','e-e0a329a6-5bd1-42e7-80a8-5b4696fd6b1e','2026-11-28 21:02:39.116238','{"content": {"parts": [{"text": "I am Grace."}], "role": "user"}, "invocation_id": "e-e0a329a6-5bd1-42e7-80a8-5b4696fd6b1e", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "accf8cec-3e47-4e7e-b114-812804462a84", "timestamp": 1795899759.1162384}');
INSERT INTO "events" VALUES('9db035e2-d3d2-490e-8ce2-b5ee400702c8','forecast','grace','s-1','e-e0a329a6-5bd1-42e7-80a8-5b4696fd6b1e','2026-11-28 21:02:39.336437','{"content": {"parts": [{"text": "Hello Grace."}], "role": "model"}, "usage_metadata": {"cached_content_token_count": 2, "candidates_token_count": 4, "prompt_token_count": 21, "total_token_count": 25}, "invocation_id": "e-e0a329a6-5bd1-42e7-80a8-5b4696fd6b1e", "author": "weatherman", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": "weatherman@1"}, "id": "9db035e2-d3d2-490e-8ce2-b5ee400702c8", "timestamp": 1795899759.3364375}');
CREATE TABLE sessions (
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	create_time DATETIME NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name, user_id, id)
);
INSERT INTO "sessions" VALUES('forecast','ada','s-1','{"unit": "celsius"}','2026-11-28 21:02:26.033713','2026-11-28 21:02:38.954662');
INSERT INTO "sessions" VALUES('forecast','grace','s-1','{}','2026-11-28 21:02:26.251863','2026-11-28 21:02:39.336437');
CREATE TABLE user_states (
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name, user_id)
);
INSERT INTO "user_states" VALUES('forecast','ada','{"name": "Ada"}','2026-11-28 21:02:26');
INSERT INTO "user_states" VALUES('forecast','grace','{}','2026-11-28 21:02:26');
CREATE INDEX idx_events_app_user_session_ts_id ON events (app_name, user_id, session_id, timestamp DESC, id DESC);
COMMIT;
