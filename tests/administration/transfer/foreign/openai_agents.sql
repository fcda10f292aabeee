-- openai-agents 0.24.0, openai 3.57.0
BEGIN TRANSACTION;
CREATE TABLE agent_messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                message_data TEXT NOT NULL,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id) REFERENCES agent_sessions (session_id)
                    ON DELETE CASCADE
            );
INSERT INTO "agent_messages" VALUES(1,'plain','{"content": "The weather in Z\u00fcrich and \u6a4b\u672c?", "role": "user"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(2,'plain','{"id": "rs_1", "summary": [{"text": "Two cities.", "type": "summary_text"}], "type": "reasoning"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(3,'plain','{"arguments": "{\"city\": \"Z\u00fcrich\"}", "call_id": "call_1", "name": "weather", "type": "function_call", "id": "fc_1"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(4,'plain','{"arguments": "{\"city\": \"\u6a4b\u672c\"}", "call_id": "call_2", "name": "weather", "type": "function_call", "id": "fc_2"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(5,'plain','{"call_id": "call_1", "output": "Z\u00fcrich: 21 \u00b0C, sunny", "type": "function_call_output"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(6,'plain','{"call_id": "call_2", "output": "\u6a4b\u672c: 21 \u00b0C, sunny", "type": "function_call_output"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(7,'plain','{"id": "msg_1", "content": [{"annotations": [], "text": "Z\u00fcrich and \u6a4b\u672c: 21 \u00b0C", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(8,'plain','{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "detail": "auto"}]}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(9,'plain','{"id": "msg_2", "content": [{"annotations": [], "text": "A pixel.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(10,'branched','{"content": "I am Ada.", "role": "user"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(11,'branched','{"id": "msg_3", "content": [{"annotations": [], "text": "Hello Ada.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(12,'branched','{"content": "Who am I?", "role": "user"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(13,'branched','{"id": "msg_4", "content": [{"annotations": [], "text": "Ada.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(14,'branched','{"content": "Tell me my whole name.", "role": "user"}','2026-11-28 20:55:24');
INSERT INTO "agent_messages" VALUES(15,'branched','{"id": "msg_5", "content": [{"annotations": [], "text": "You are Ada Lovelace.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-28 20:55:24');
CREATE TABLE agent_sessions (
                session_id TEXT PRIMARY KEY,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            );
INSERT INTO "agent_sessions" VALUES('plain','2026-11-28 20:55:24','2026-11-28 20:55:24');
INSERT INTO "agent_sessions" VALUES('branched','2026-11-28 20:55:24','2026-11-28 20:55:24');
CREATE TABLE branch_reservations (
                session_id TEXT NOT NULL,
                branch_id TEXT NOT NULL,
                PRIMARY KEY (session_id, branch_id)
            );
INSERT INTO "branch_reservations" VALUES('branched','main');
INSERT INTO "branch_reservations" VALUES('branched','again/2');
CREATE TABLE message_structure (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                message_id INTEGER NOT NULL,
                branch_id TEXT NOT NULL DEFAULT 'main',
                message_type TEXT NOT NULL,
                sequence_number INTEGER NOT NULL,
                user_turn_number INTEGER,
                branch_turn_number INTEGER,
                tool_name TEXT,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id)
                    REFERENCES agent_sessions(session_id) ON DELETE CASCADE,
                FOREIGN KEY (message_id)
                    REFERENCES agent_messages(id) ON DELETE CASCADE
            );
INSERT INTO "message_structure" VALUES(1,'branched',10,'main','user',1,1,1,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(2,'branched',11,'main','assistant',2,1,1,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(3,'branched',12,'main','user',3,2,2,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(4,'branched',13,'main','assistant',4,2,2,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(5,'branched',10,'again/2','user',5,1,1,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(6,'branched',11,'again/2','assistant',6,1,1,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(7,'branched',14,'again/2','user',7,2,2,NULL,'2026-11-28 20:55:24');
INSERT INTO "message_structure" VALUES(8,'branched',15,'again/2','assistant',8,2,2,NULL,'2026-11-28 20:55:24');
CREATE TABLE session_clear_generations (
                session_id TEXT PRIMARY KEY,
                generation INTEGER NOT NULL DEFAULT 0
            );
INSERT INTO "session_clear_generations" VALUES('branched',0);
CREATE TABLE turn_usage (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                branch_id TEXT NOT NULL DEFAULT 'main',
                user_turn_number INTEGER NOT NULL,
                requests INTEGER DEFAULT 0,
                input_tokens INTEGER DEFAULT 0,
                output_tokens INTEGER DEFAULT 0,
                total_tokens INTEGER DEFAULT 0,
                input_tokens_details JSON,
                output_tokens_details JSON,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id)
                    REFERENCES agent_sessions(session_id) ON DELETE CASCADE,
                UNIQUE(session_id, branch_id, user_turn_number)
            );
INSERT INTO "turn_usage" VALUES(1,'branched','main',1,1,11,7,18,'{"cache_write_tokens": 0, "cached_tokens": 0, "cache_write_tokens_details": null}','{"reasoning_tokens": 0}','2026-11-28 20:55:24');
INSERT INTO "turn_usage" VALUES(2,'branched','main',2,1,11,7,18,'{"cache_write_tokens": 0, "cached_tokens": 0, "cache_write_tokens_details": null}','{"reasoning_tokens": 0}','2026-11-28 20:55:24');
CREATE INDEX idx_agent_messages_session_id
            ON agent_messages (session_id, id)
        ;
CREATE INDEX idx_structure_session_seq
            ON message_structure(session_id, sequence_number)
        ;
CREATE INDEX idx_structure_branch
            ON message_structure(session_id, branch_id)
        ;
CREATE INDEX idx_structure_turn
            ON message_structure(session_id, branch_id, user_turn_number)
        ;
CREATE INDEX idx_structure_branch_seq
            ON message_structure(session_id, branch_id, sequence_number)
        ;
CREATE INDEX idx_turn_usage_session_turn
            ON turn_usage(session_id, branch_id, user_turn_number)
        ;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('agent_messages',15);
INSERT INTO "sqlite_sequence" VALUES('message_structure',8);
INSERT INTO "sqlite_sequence" VALUES('turn_usage',2);
COMMIT;
